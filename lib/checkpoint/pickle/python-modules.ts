/**
 * Top-level modules of Python's standard library, versions 2.7 to 3.14. Whatever a pickle names in one of them is
 * refused, unless HARMLESS lists it: the library is where os.system, subprocess.Popen and their like live.
 */
export const STANDARD_LIBRARY: ReadonlySet<string> = new Set(
  `__builtin__ __future__ _abc _aix_support _ast _asyncio _bisect _blake2 _bootsubprocess _bz2 _codecs
  _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc
  _compat_pickle _compression _contextvars _crypt _csv _ctypes _curses _curses_panel _datetime _dbm _decimal
  _elementtree _frozen_importlib _frozen_importlib_external _functools _gdbm _hashlib _heapq _imp _io _json
  _locale _lsprof _lzma _markupbase _md5 _msi _multibytecodec _multiprocessing _opcode _operator
  _osx_support _overlapped _pickle _posixshmem _posixsubprocess _py_abc _pydecimal _pyio _pyrepl _queue
  _random _scproxy _sha1 _sha256 _sha3 _sha512 _signal _sitebuiltins _socket _sqlite3 _sre _ssl _stat
  _statistics _string _strptime _struct _symtable _thread _threading_local _tkinter _tokenize _tracemalloc
  _typing _uuid _warnings _weakref _weakrefset _winapi _winreg _zoneinfo abc aifc annotationlib antigravity
  anydbm argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2
  calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands compileall compression
  concurrent configparser contextlib contextvars copy copy_reg copyreg cPickle cProfile crypt cStringIO csv
  ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest dumbdbm email encodings
  ensurepip enum errno exceptions faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools
  future_builtins gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html
  htmlentitydefs htmllib http httplib idlelib imaplib imghdr imp importlib inspect io ipaddress itertools
  json keyword lib2to3 linecache locale logging lzma macpath mailbox mailcap marshal math mimetypes mmap
  modulefinder msilib msvcrt multiprocessing netrc new nis nntplib nt ntpath nturl2path numbers opcode
  operator optparse os os2emxpath ossaudiodev pathlib pdb pickle pickletools pip pipes pkg_resources pkgutil
  platform plistlib popen2 poplib posix posixfile posixpath pprint profile pstats pty pwd py_compile pyclbr
  pydoc pydoc_data pyexpat Queue queue quopri random re readline repr reprlib resource rlcompleter runpy
  sched secrets select selectors setuptools shelve shlex shutil signal site smtpd smtplib sndhdr socket
  SocketServer socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
  stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile
  termios test textwrap this thread threading time timeit Tkinter tkinter token tokenize tomllib trace
  traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib urllib2 urlparse user
  uu uuid venv warnings wave weakref webbrowser whichdb winreg winsound wsgiref xdrlib xml xmlrpc xmlrpclib
  zipapp zipfile zipimport zlib zoneinfo`
    .trim()
    .split(/\s+/),
);

/**
 * Parts of the standard library that real checkpoints hold beside their weights: plain values and records. They
 * become placeholders like any unknown class. An entry ends with ".*" where the whole module is harmless.
 */
const HARMLESS: readonly string[] = [
  'argparse.Namespace',
  'array.array',
  'array._array_reconstructor',
  'collections.ChainMap',
  'collections.Counter',
  'collections.UserDict',
  'collections.UserList',
  'collections.deque',
  'copy_reg._reconstructor',
  'copyreg._reconstructor',
  'copyreg.__newobj__',
  'copyreg.__newobj_ex__',
  'datetime.*',
  '_datetime.*',
  'decimal.*',
  '_decimal.*',
  '_pydecimal.*',
  'enum.Enum',
  'enum.IntEnum',
  'fractions.Fraction',
  'functools.partial',
  '_functools.partial',
  'inspect._empty',
  'inspect.Parameter',
  'ipaddress.*',
  'itertools.count',
  'numbers.*',
  'optparse.Values',
  'pathlib.*',
  'pathlib._local.*',
  'random.Random',
  'time.struct_time',
  'types.GenericAlias',
  'types.SimpleNamespace',
  'types.NoneType',
  'typing.*',
  'uuid.*',
  'weakref.WeakKeyDictionary',
  'zoneinfo.*',
];

const NAMES = new Set(HARMLESS.filter((entry) => !entry.endsWith('.*')));
const MODULES = new Set(HARMLESS.filter((entry) => entry.endsWith('.*')).map((entry) => entry.slice(0, -2)));

/** True for a part of the standard library that is only a value. Dotted names reach into other modules: never those. */
export function isHarmless(module: string, name: string): boolean {
  if (NAMES.has(`${module}.${name}`)) return true;
  return (
    MODULES.has(module) && /^[A-Za-z]\w*$/.test(name) && (name === module || !STANDARD_LIBRARY.has(name))
  );
}
