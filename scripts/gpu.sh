#!/usr/bin/env bash
# Everything that needs a GPU, in one command, on a machine with python3 (a CUDA torch, NumPy), nvcc and cmake, without a
# network: bash scripts/gpu.sh [RESULTS]. It builds the operator library for the present GPU alone, and the addon where
# there are a Node binary, node_modules and dist; runs the golden cases, gradcheck, `freqfusion verify` in three dtypes,
# graphs against plain runs, the benchmarks and compute-sanitizer; goes on after a part that fails, and ends with
# `N passed, N failed`, in parts. What cannot run is named. RESULTS is a folder (bench/results).
#   PYTHON  the Python with torch (python3)     NODE  the Node binary (node on PATH)     JOBS  compilers at once (all cores)
#   BUILD   the build folder (build-gpu)        LIMIT  seconds that everything may take (560)
set -uo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3} build=${BUILD:-$PWD/build-gpu} results=${1:-bench/results} jobs=${JOBS:-$(nproc)}
node=${NODE:-$(command -v node || true)} end=$((SECONDS + ${LIMIT:-560}))
passed=0 failed=0 summary=()
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export PATH="$PATH:$CUDA_HOME/bin"

# part NAME SECONDS COMMAND...: runs it under a time limit, never beyond the whole's, and counts it.
part() {
  local name=$1 limit=$2 since=$SECONDS left=$((end - SECONDS)) status
  shift 2
  if ((left < limit)); then limit=$left; fi
  if ((limit < 5)); then
    failed=$((failed + 1)) summary+=("FAILED $name: no time left")
    return 1
  fi
  echo "== $name (at most $limit s)"
  timeout -k 5 "$limit" "$@"
  status=$?
  local outcome=ok
  if ((status == 0)); then passed=$((passed + 1)); else failed=$((failed + 1)) outcome=FAILED; fi
  if ((status == 124 || status == 137)); then status="$status, its time was up or it was killed"; fi
  summary+=("$outcome $name: $((SECONDS - since)) s, status $status")
  echo "== ${summary[-1]}"
  [[ $outcome == ok ]]
}

# left_out NAME REASON: what this machine cannot run is said, not counted.
left_out() {
  summary+=("not run $1: $2")
  echo "== ${summary[-1]}"
}

probe() { timeout 60 "$python" -I -c "$1"; }
torch=$(probe 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
gpu=$(probe 'import re, numpy, torch; print(re.sub("[^a-z0-9]+", "-", torch.cuda.get_device_name(0).lower()).strip("-"))')
arch=$(probe 'import torch; print("%d%d" % torch.cuda.get_device_capability(0))')
if [[ -z $torch || -z $gpu || -z $arch ]]; then
  echo "expected a $python with NumPy and a torch that sees a GPU"
  exit 1
fi
echo "$gpu (sm_$arch), $torch, $jobs compilers at once"
mkdir -p "$results"
name=$results/$(date +%F)-$gpu

headers=() missing=()
[[ -n $node ]] || missing+=("a Node binary (NODE)")
[[ -f node_modules/node-addon-api/package.json && -d node_modules/node-api-headers/include ]] ||
  missing+=("node_modules with node-addon-api and node-api-headers")
[[ -f dist/cli/main.js ]] || missing+=("dist (npm run build -- ts)")
if ((${#missing[@]} == 0)); then
  headers=("-DCMAKE_JS_INC=$PWD/node_modules/node-api-headers/include;$PWD/node_modules/node-addon-api")
fi
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
# Another compiler than ours may warn of other things: that is no reason to have no results.
part configure 60 cmake -S . -B "$build" "${generator[@]}" "-DFREQFUSION_TORCH=$torch" -DFREQFUSION_CUDA=ON \
  "-DFREQFUSION_CUDA_ARCHS=$arch" -DFREQFUSION_WERROR=OFF "${headers[@]}"
library=$build/Release/libfreqfusion_ops.so
part "operator library" 240 cmake --build "$build" -j "$jobs" --target freqfusion_ops

addon=
if ((${#missing[@]} == 0)); then
  part addon 180 cmake --build "$build" -j "$jobs" --target freqfusion && addon=$build/Release/freqfusion.node
else
  left_out "addon and what runs in Node" "expected $(printf '%s; ' "${missing[@]}")got none"
fi

part "golden cases, layouts and gradcheck" 120 "$python" test/cuda/check.py "$library" test/goldens
if [[ -n $addon ]]; then
  export FREQFUSION_ADDON=$addon
  for dtype in float32 float16 bfloat16; do
    part "freqfusion verify $dtype" 45 "$node" dist/cli/main.js verify test/goldens --quiet --device cuda --dtype "$dtype"
  done
  part "graphs against plain runs" 45 "$node" test/cuda/graphs.cjs cuda:0
  part "freqfusion bench" 90 bash -c '"$1" dist/cli/main.js bench --device cuda --json >"$2"' bench "$node" "$name-bench.json"
  if [[ -s $name-bench.json ]]; then
    part "table of freqfusion bench" 15 "$node" dist/bench/gpu-render.js "$name-bench.json" --save "$name-bench"
  fi
  part comparison 150 "$python" bench/cuda_compare.py --library "$library" --node "$node" --budget 130 --json "$name.json" \
    --save "$name"
else
  # The same operators' table, without Node.
  part "operators in PyTorch" 120 "$python" bench/operators_on_cuda.py "$library" --json "$name-operators.json" \
    --markdown "$name-operators.md"
fi
if command -v compute-sanitizer >/dev/null; then
  part compute-sanitizer 90 compute-sanitizer --error-exitcode 9 "$python" test/cuda/check.py "$library" test/goldens --quick
else
  left_out compute-sanitizer "it is not installed"
fi

echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
((failed == 0))
