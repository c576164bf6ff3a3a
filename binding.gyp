# The same addon with node-gyp, for the CPU: one .node that holds the operators too. cmake-js is the main build;
# "npm run build:gyp" builds this one beside it. Lists of files and flags come from native/*/sources.cmake.
{
  "variables": {
    "torch%": "<!(node scripts/gyp-sources.mjs torch)",
  },
  "target_defaults": {
    "include_dirs": ["."],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-Wno-unused-parameter"],
    "cflags_cc": [
      "-std=c++20", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-fopenmp",
      "-Wall", "-Wextra", "-Wno-unused-parameter",
      "-isystem<(torch)/include", "-isystem<(torch)/include/torch/csrc/api/include",
      "-isystem<!(node scripts/gyp-sources.mjs node-addon-api)",
    ],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_ENABLE_CPP_RTTI": "YES",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": [
        "-isystem<(torch)/include", "-isystem<(torch)/include/torch/csrc/api/include",
        "-isystem<!(node scripts/gyp-sources.mjs node-addon-api)",
      ],
    },
  },
  "targets": [
    {
      "target_name": "freqfusion_ops_baseline",
      "type": "static_library",
      "sources": ["<!@(node scripts/gyp-sources.mjs kernels)"],
      "defines": ["FREQFUSION_ISA=baseline"],
      "cflags_cc": ["-O2", "<!@(node scripts/gyp-sources.mjs flags baseline)"],
    },
    {
      "target_name": "freqfusion",
      "dependencies": ["freqfusion_ops_baseline"],
      "sources": [
        "<!@(node scripts/gyp-sources.mjs node)",
        "<!@(node scripts/gyp-sources.mjs modules)",
        "<!@(node scripts/gyp-sources.mjs ops)",
      ],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      # -O2 as in CMakeLists.txt: only the kernels gain from more.
      "cflags_cc": ["-O2"],
      "libraries": ["-L<(torch)/lib", "-lc10", "-ltorch_cpu", "-Wl,-rpath,<(torch)/lib"],
      "conditions": [
        ["OS=='linux'", {"ldflags": ["-Wl,--no-as-needed", "-Wl,-z,nodelete", "-Wl,-rpath-link,<(torch)/lib",
          "-Wl,--version-script=<(module_root_dir)/cmake/addon.map"]}],
        ["target_arch=='x64'", {"dependencies": ["freqfusion_ops_avx2", "freqfusion_ops_avx512"]}],
      ],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "freqfusion_ops_avx2",
          "type": "static_library",
          "sources": ["<!@(node scripts/gyp-sources.mjs kernels)"],
          "defines": ["FREQFUSION_ISA=avx2"],
          "cflags_cc": ["-O3", "<!@(node scripts/gyp-sources.mjs flags avx2)"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node scripts/gyp-sources.mjs flags avx2)"]},
        },
        {
          "target_name": "freqfusion_ops_avx512",
          "type": "static_library",
          "sources": ["<!@(node scripts/gyp-sources.mjs kernels)"],
          "defines": ["FREQFUSION_ISA=avx512"],
          "cflags_cc": ["-O3", "<!@(node scripts/gyp-sources.mjs flags avx512)"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node scripts/gyp-sources.mjs flags avx512)"]},
        },
      ],
    }],
  ],
}
