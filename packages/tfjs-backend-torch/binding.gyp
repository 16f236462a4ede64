{
  # Variables come from scripts/buildNative.mjs: node-gyp build -- -Dtorch_root=... (see there).
  "variables": {
    "torch_root%": "",
    "torch_abi%": "1",
    "torch_cuda%": "0",
    # Where nvcc is: its headers, and its kernels compiled by scripts/compileCuda.mjs, as objects.
    "cuda_home%": "",
    "cuda_objects%": "",
    "addon_api%": "",
    "torch_pch%": "",
  },
  "targets": [
    {
      "target_name": "tfjs_torch",
      "sources": ["<!@(find native -name '*.cc' | sort)"],
      "include_dirs": ["native", "<(addon_api)", "<(torch_root)/include"],
      # A worker that is being ended can throw nothing to JavaScript any more; without the third, that would end the process.
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GLIBCXX_USE_CXX11_ABI=<(torch_abi)"],
      # libtorch's headers are C++17 up to 2.11 and C++20 after; C++20 compiles both.
      # -fopenmp gives at::parallel_for its threads; its runtime is the one libtorch brings, so nothing more is linked.
      # No one reads floating point's exceptions; without -fno-trapping-math loops with a choice in them are computed under masks.
      "cflags_cc": ["-std=gnu++20", "-O2", "-fno-trapping-math", "-fopenmp", "-fvisibility=hidden", "-Wall", "-Wextra"],
      "cflags_cc!": ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-O3"],
      "libraries": ["-L<(torch_root)/lib", "-Wl,--no-as-needed", "-ltorch_cpu", "-lc10"],
      "ldflags": [
        "-Wl,-rpath,<(torch_root)/lib",
        # The addon and libtorch stay mapped when a worker that loaded them ends: their thread-local destructors may run later.
        "-Wl,-z,nodelete",
      ],
      "conditions": [
        # A precompiled header's parts are no system headers: their warnings would come with every source.
        ["torch_pch!=''", {"cflags_cc": ["-include", "<(torch_pch)", "-Wno-sign-compare"]}],
        ["torch_cuda==1", {"libraries": ["-ltorch_cuda", "-lc10_cuda"]}],
        # CUDA's runtime is the one that libtorch brings: nothing more is linked.
        [
          "cuda_home!=''",
          {
            "defines": ["TFJS_TORCH_CUDA"],
            "include_dirs": ["<(cuda_home)/include"],
            "libraries": ["<@(cuda_objects)"],
          },
        ],
        [
          "OS=='mac'",
          {
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "gnu++20",
              "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
              "GCC_ENABLE_CPP_RTTI": "YES",
              "OTHER_LDFLAGS": ["-Wl,-rpath,<(torch_root)/lib"],
            },
            "libraries!": ["-Wl,--no-as-needed"],
          },
        ],
      ],
    }
  ],
}
