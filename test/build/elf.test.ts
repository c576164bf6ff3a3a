// What the linker made, read with binutils. Linux only (jest.config.cjs leaves it out elsewhere, npm test says so).
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const RELEASE = join(ROOT, 'build', 'Release');
const ADDON = join(RELEASE, 'freqfusion.node');
const OPERATORS = join(RELEASE, 'libfreqfusion_ops.so');
const RECORD = JSON.parse(readFileSync(join(ROOT, 'build', 'freqfusion-build.json'), 'utf8'));

function lines(command: string, ...args: string[]): string[] {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n');
}

function dynamic(file: string, tag: string): string[] {
  const entries = lines('readelf', '--dynamic', '--wide', file).filter((line) => line.includes(`(${tag})`));
  return entries.map((line) => /\[(.*)\]/.exec(line)?.[1] ?? line);
}

/** Global symbols that a file defines for others, demangled. */
function exported(file: string): string[] {
  const rows = lines('nm', '--dynamic', '--defined-only', '--demangle', file);
  return rows.flatMap((row) => /^[0-9a-f]+ [A-Z] (.*)$/.exec(row)?.[1] ?? []);
}

describe('what is linked', () => {
  test('the addon keeps the libraries that it needs for their registrations alone', () => {
    const needed = dynamic(ADDON, 'NEEDED');
    expect(needed).toEqual(expect.arrayContaining(['libfreqfusion_ops.so', 'libtorch_cpu.so', 'libc10.so']));
  });

  test('the operator library needs libtorch and nothing of Node or of Python', () => {
    const system = /^(libstdc\+\+|libm|libgcc_s|libc|libpthread|ld-linux.*)\.so/;
    const needed = dynamic(OPERATORS, 'NEEDED').filter((name) => !system.test(name));
    const cuda = RECORD.cuda ? ['libc10_cuda.so', 'libtorch_cuda.so'] : [];
    expect(needed.sort()).toEqual(['libc10.so', 'libtorch_cpu.so', ...cuda].sort());
  });

  test.each([
    ['the addon', ADDON],
    ['the operator library', OPERATORS],
  ])('%s searches its own folder and libtorch, and no other place', (_, file) => {
    expect(dynamic(file, 'RUNPATH')).toEqual([`$ORIGIN:${RECORD.libtorch}/lib`]);
    expect(dynamic(file, 'RPATH')).toEqual([]);
  });

  test.each([ADDON, OPERATORS])(
    '%s brings no OpenMP runtime of its own: it binds to the one of libtorch',
    (file) => {
      expect(dynamic(file, 'NEEDED').filter((name) => /gomp|omp5|iomp/.test(name))).toEqual([]);
    },
  );

  test('the kernels are compiled with OpenMP: without it at::parallel_for is silently serial', () => {
    const undefinedSymbols = lines('nm', '--dynamic', '--undefined-only', OPERATORS);
    expect(undefinedSymbols.some((line) => line.includes('GOMP_parallel'))).toBe(true);
  });

  test('the addon stays mapped when the worker that loaded it ends', () => {
    const flags = lines('readelf', '--dynamic', ADDON).filter((line) => line.includes('FLAGS_1'));
    expect(flags.join()).toContain('NODELETE');
  });

  test('the addon exports its entry points and no symbol that another addon could bind to', () => {
    expect(exported(ADDON).sort()).toEqual(['napi_register_module_v1', 'node_api_module_get_api_version_v1']);
  });

  test('the operators are registered in one library: a second copy in one process would abort', () => {
    const registers = (file: string): boolean =>
      lines('nm', '--dynamic', '--undefined-only', '--demangle', file).some((line) =>
        line.includes('torch::Library::Library('),
      );
    expect([registers(OPERATORS), registers(ADDON)]).toEqual([true, false]);
  });
});

describe('the objects of one instruction set', () => {
  const folder = join(ROOT, 'build', 'CMakeFiles');
  const objects = (isa: string): string[] => {
    const root = join(folder, `freqfusion_ops_${isa}.dir`);
    const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
    return names.filter((name) => name.endsWith('.o')).map((name) => join(root, name));
  };

  // A weak symbol that other objects define too may win at link time, and then crash a machine without the set.
  test.each(process.arch === 'x64' ? ['avx2', 'avx512'] : [])(
    '%s defines nothing that other objects could share',
    (isa) => {
      const own = new RegExp(`\\b${isa}::`);
      const shared = objects(isa).flatMap((file) =>
        lines('nm', '--defined-only', '--demangle', file).filter(
          (line) => /^[0-9a-f]+ [VWu] /.test(line) && !own.test(line),
        ),
      );
      expect(objects(isa).length).toBeGreaterThan(3);
      expect(shared).toEqual([]);
    },
  );
});

describe('loading', () => {
  const load = (file: string, ...variables: string[]): string => {
    const script = `try { require(${JSON.stringify(file)}); console.log('loaded') } catch (error) { console.log(error.message) }`;
    return execFileSync('/usr/bin/env', ['-i', ...variables, process.execPath, '-e', script], {
      encoding: 'utf8',
      cwd: '/',
    }).trim();
  };

  test('works with an empty environment: no LD_LIBRARY_PATH, no Python, no HOME', () => {
    expect(load(ADDON)).toBe('loaded');
  });

  test('leaves one OpenMP runtime and one libtorch in the process', () => {
    const script = `require(${JSON.stringify(ADDON)}); console.log(require('fs').readFileSync('/proc/self/maps', 'utf8'))`;
    const maps = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', maxBuffer: 1 << 26 });
    const mapped = (pattern: RegExp): string[] => [...new Set(maps.match(pattern))];
    expect(mapped(/\S*lib(gomp|omp|iomp5)[^/\s]*\.so\S*/g)).toHaveLength(1);
    expect(mapped(/\S*libtorch_cpu\.so\S*/g)).toEqual([`${RECORD.libtorch}/lib/libtorch_cpu.so`]);
  });

  test('of an addon built with another libtorch is refused in words, not by a crash', () => {
    const folder = mkdtempSync(join(tmpdir(), 'freqfusion-elf-'));
    try {
      // Stands in for a libtorch that was updated in place: only what it says of itself is another.
      const source = `#include <string>
        namespace at { std::string show_config() { return "TORCH_VERSION=9.0.1, USE_CUDA=0"; } }`;
      const other = join(folder, 'other.so');
      execFileSync('c++', ['-shared', '-fPIC', '-x', 'c++', '-', '-o', other], { input: source });
      const message = load(ADDON, `LD_PRELOAD=${other}`);
      expect(message).toContain(`built against libtorch ${RECORD.torch} but libtorch 9.0.1 was loaded`);
      expect(message).toContain('npm run build:native');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('works from a folder with spaces and letters beyond ASCII in its name', () => {
    const folder = mkdtempSync(join(tmpdir(), 'freqfusion été '));
    try {
      cpSync(ADDON, join(folder, 'freqfusion.node'));
      symlinkSync(OPERATORS, join(folder, 'libfreqfusion_ops.so'));
      expect(load(join(folder, 'freqfusion.node'))).toBe('loaded');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
