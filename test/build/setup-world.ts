import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const REAL_PYTHON = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
  encoding: 'utf8',
}).trim();

// Writes a wheel of the layout of torch's own, a few hundred bytes long.
const MAKE_WHEEL = `
import base64, hashlib, json, sys, zipfile
path, files, wrong = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
rows = []
with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, text in files.items():
        data = text.encode()
        archive.writestr(name, data)
        digest = hashlib.sha256(b'other' if name == wrong else data).digest()
        rows.append('%s,sha256=%s,%d' % (name, base64.urlsafe_b64encode(digest).decode().rstrip('='), len(data)))
    archive.writestr('torch-2.13.0.dist-info/RECORD', '\\n'.join(rows) + '\\n')
`;

const SUFFIX = process.platform === 'darwin' ? '.dylib' : '.so';

/** The files that make a folder look like libtorch. */
export function libtorchFiles(version = '2.13.0'): Record<string, string> {
  const [major, minor, patch] = version.split('.');
  return {
    [`lib/libtorch_cpu${SUFFIX}`]: 'the operators',
    [`lib/libc10${SUFFIX}`]: 'the base',
    'include/ATen/core/Tensor.h': '#pragma once\n',
    'include/torch/headeronly/version.h': `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`,
  };
}

export interface FakePython {
  /** Folder that the fake python3 gives as its torch. */
  torch?: string;
  pip?: boolean;
  /** Shell lines that stand for `pip download`; $dest is its folder. */
  download?: string;
  /** Shell lines that stand for every call. */
  all?: string;
}

export interface SetupResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A machine in a temporary folder: its PATH, its cache and its python3 are the test's own. */
export class SetupWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'freqfusion-setup-'));
  readonly cache = join(this.folder, 'cache');
  private readonly bin = join(this.folder, 'bin');

  constructor() {
    mkdirSync(this.bin);
  }

  writeLibtorch(name: string, version?: string): string {
    const root = join(this.folder, name);
    for (const [file, text] of Object.entries(libtorchFiles(version))) {
      const path = join(root, file);
      mkdirSync(join(path, '..'), { recursive: true });
      writeFileSync(path, text);
    }
    return root;
  }

  /** A wheel with the given files beside libtorch's own; `wrong` names one whose checksum in RECORD is another. */
  writeWheel({ extra = {}, wrong = '' }: { extra?: Record<string, string>; wrong?: string } = {}): string {
    const files: Record<string, string> = {
      'torch/__init__.py': '',
      'torch/lib/libtorch_python.so': 'binding',
    };
    for (const [file, text] of Object.entries(libtorchFiles())) files[`torch/${file}`] = text;
    const wheel = join(this.folder, 'torch-2.13.0-cp311-cp311-linux_x86_64.whl');
    execFileSync(REAL_PYTHON, ['-c', MAKE_WHEEL, wheel, JSON.stringify({ ...files, ...extra }), wrong]);
    return wheel;
  }

  /** `pip download` that gives this wheel, as slowly as asked, and counts its calls in a file. */
  downloadOf(wheel: string, seconds = 0): string {
    return `echo call >> ${this.folder}/downloads\n/bin/sleep ${seconds}\n/bin/cp ${wheel} "$dest"/`;
  }

  get downloads(): number {
    const file = join(this.folder, 'downloads');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
  }

  python({ torch = '', pip = true, download = 'exit 1', all = '' }: FakePython = {}): void {
    const script = `#!/bin/sh
${all}
dest=
previous=
for argument in "$@"; do
  [ "$previous" = --dest ] && dest=$argument
  previous=$argument
done
case "$*" in
  *find_spec*) echo "${torch}" ;;
  *version_info*) echo 3.11 ;;
  "-m pip --version") ${pip ? 'echo pip' : 'exit 1'} ;;
  "-m venv"*) exit 1 ;;
  "-m pip download"*) ${download} ;;
  *unpack.py*) exec "${REAL_PYTHON}" "$@" ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac
`;
    writeFileSync(join(this.bin, 'python3'), script);
    chmodSync(join(this.bin, 'python3'), 0o755);
  }

  environment(extra: Record<string, string> = {}): Record<string, string> {
    return { PATH: this.bin, HOME: this.folder, FREQFUSION_CACHE: this.cache, ...extra };
  }

  /** Runs `npm run setup` in this world. */
  setup(extra: Record<string, string> = {}): Promise<SetupResult> {
    return this.node([join(ROOT, 'scripts/libtorch/main.mjs')], extra);
  }

  /** Runs ESM lines that may import from scripts/libtorch by the name of the file. */
  script(lines: string, extra: Record<string, string> = {}): Promise<SetupResult> {
    const text = lines.replaceAll("from './", `from '${ROOT}/scripts/libtorch/`);
    return this.node(['--input-type=module', '-e', text], extra);
  }

  private node(args: string[], extra: Record<string, string>): Promise<SetupResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, args, { env: this.environment(extra), cwd: this.folder });
      const result: SetupResult = { status: null, stdout: '', stderr: '' };
      child.stdout.on('data', (data) => {
        result.stdout += data;
      });
      child.stderr.on('data', (data) => {
        result.stderr += data;
      });
      child.on('error', reject);
      child.on('close', (status) => resolve({ ...result, status }));
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
