#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with python3 and a CUDA torch, nvcc and cmake, without a
# network: bash scripts/gpu.sh [RESULTS]. Builds the operator library (and the addon where NODE names a Node binary and
# the header packages are in node_modules), runs the golden cases, gradcheck, compute-sanitizer and the benchmark, goes
# on after a part that fails, and ends with `N passed, N failed` in parts. RESULTS is a folder (bench/results).
#   PYTHON  the Python with torch (python3)     NODE  the Node binary (node on PATH)     JOBS  compilers at once (all cores)
#   BUILD   the build folder (build-gpu)
set -uo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3} build=${BUILD:-$PWD/build-gpu} results=${1:-bench/results} jobs=${JOBS:-$(nproc)}
node=${NODE:-$(command -v node || true)}
passed=0 failed=0
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export PATH="$PATH:$CUDA_HOME/bin"

# part NAME SECONDS COMMAND...: runs it under a time limit and counts it.
part() {
  local name=$1 limit=$2 since=$SECONDS status
  shift 2
  echo "== $name"
  timeout "$limit" "$@"
  status=$?
  if [[ $status -eq 0 ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  echo "== $name: status $status, $((SECONDS - since)) s"
  return $status
}

torch=$("$python" -I -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
gpu=$("$python" -I -c 'import re, torch; print(re.sub("[^a-z0-9]+", "-", torch.cuda.get_device_name(0).lower()).strip("-"))')
arch=$("$python" -I -c 'import torch; print("%d%d" % torch.cuda.get_device_capability(0))')
if [[ -z $torch || -z $gpu || -z $arch ]]; then
  echo "expected a $python with a torch that sees a GPU"
  exit 1
fi
echo "$gpu (sm_$arch), $torch"

headers=()
[[ -d node_modules/node-addon-api ]] &&
  headers=("-DCMAKE_JS_INC=$PWD/node_modules/node-api-headers/include;$PWD/node_modules/node-addon-api")
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
part configure 60 cmake -S . -B "$build" "${generator[@]}" "-DFREQFUSION_TORCH=$torch" -DFREQFUSION_CUDA=ON \
  "-DFREQFUSION_CUDA_ARCHS=$arch" "${headers[@]}"
library=$build/Release/libfreqfusion_ops.so
part "operator library" 240 cmake --build "$build" -j "$jobs" --target freqfusion_ops

part "golden cases, layouts and gradcheck" 150 "$python" test/cuda/check.py "$library" test/goldens
mkdir -p "$results"
name=$results/$(date +%F)-$gpu
part benchmark 120 "$python" bench/operators_on_cuda.py "$library" --json "$name.json" --markdown "$name.md"
if command -v compute-sanitizer >/dev/null; then
  part compute-sanitizer 90 compute-sanitizer --error-exitcode 9 "$python" test/cuda/check.py "$library" test/goldens --quick
else
  echo "not run: compute-sanitizer is not installed"
fi

if [[ -n $node && ${#headers[@]} -gt 0 && -f dist/cli/main.js ]]; then
  part addon 150 cmake --build "$build" -j "$jobs"
  for dtype in float32 float16 bfloat16; do
    part "freqfusion verify $dtype" 60 env "FREQFUSION_ADDON=$build/Release/freqfusion.node" \
      "$node" dist/cli/main.js verify test/goldens --device cuda --dtype "$dtype"
  done
else
  echo "not run: the addon (Node, node_modules with the header packages, or dist is not here)"
fi

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
