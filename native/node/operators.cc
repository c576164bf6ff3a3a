#include "native/node/operators.h"

#include <map>
#include <string>

#include "native/modules/detection/panoptic_fusion.h"
#include "native/modules/image/preprocess.h"
#include "native/node/detection_operators.h"
#include "native/node/jobs.h"
#include "native/node/options.h"
#include "native/ops/carafe.h"
#include "native/ops/high_pass.h"
#include "native/ops/kernel_normalizer.h"
#include "native/ops/local_similarity.h"
#include "native/ops/offset_sampler.h"

namespace freqfusion::node {
namespace {

using Operator = NamedTensors (*)(const NamedTensors&, const Options&);

NamedTensors named(const char* name, at::Tensor tensor) {
  NamedTensors result;
  result.add(name, std::move(tensor));
  return result;
}

NamedTensors named(const char* first_name, const char* second_name, std::tuple<at::Tensor, at::Tensor> tensors) {
  NamedTensors result = named(first_name, std::get<0>(std::move(tensors)));
  result.add(second_name, std::get<1>(std::move(tensors)));
  return result;
}

CarafeOptions carafe_options(const Options& options) {
  options.reject_unknown({"kernelSize", "groups", "scale", "border"});
  CarafeOptions parsed;
  parsed.kernel_size = options.integer("kernelSize", parsed.kernel_size);
  parsed.groups = options.integer("groups", parsed.groups);
  parsed.scale = options.integer("scale", parsed.scale);
  parsed.border = parse_border(options.choice("border", "zeros", {"zeros", "reflect"}));
  return parsed;
}

NamedTensors run_carafe(const NamedTensors& in, const Options& options) {
  return named("output", carafe(in.require("features"), in.require("masks"), carafe_options(options)));
}

NamedTensors run_carafe_backward(const NamedTensors& in, const Options& options) {
  return named(
      "gradFeatures", "gradMasks",
      carafe_backward(in.require("gradOutput"), in.require("features"), in.require("masks"), carafe_options(options)));
}

NamedTensors run_high_pass(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"kernelSize", "groups", "border", "residual"});
  const CarafeOptions parsed{options.integer("kernelSize", 3), options.integer("groups", 1), 1,
                             parse_border(options.choice("border", "zeros", {"zeros", "reflect"}))};
  return named("output", high_pass(in.require("x"), in.require("masks"), parsed, options.boolean("residual", true)));
}

NamedTensors run_kernel_normalizer(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"kernelSize", "hamming", "groups"});
  return named("output", kernel_normalizer(in.require("logits"), options.integer("kernelSize"),
                                           options.boolean("hamming", true), options.integer("groups", 1)));
}

NamedTensors run_kernel_normalizer_backward(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"kernelSize", "groups"});
  return named("gradLogits", kernel_normalizer_backward(in.require("gradOutput"), in.require("output"),
                                                        options.integer("kernelSize"), options.integer("groups", 1)));
}

NamedTensors run_hamming_window(const NamedTensors&, const Options& options) {
  options.reject_unknown({"kernelSize"});
  return named("output", hamming_window(options.integer("kernelSize")));
}

struct SimilarityOptions {
  int64_t kernel_size, dilation;
  Similarity similarity;
};

SimilarityOptions similarity_options(const Options& options) {
  options.reject_unknown({"kernelSize", "dilation", "similarity"});
  return {options.integer("kernelSize", 3), options.integer("dilation", 2),
          parse_similarity(options.choice("similarity", "cosine", {"cosine", "dot"}))};
}

NamedTensors run_local_similarity(const NamedTensors& in, const Options& options) {
  const SimilarityOptions parsed = similarity_options(options);
  return named("output", local_similarity(in.require("x"), parsed.kernel_size, parsed.dilation, parsed.similarity));
}

NamedTensors run_local_similarity_backward(const NamedTensors& in, const Options& options) {
  const SimilarityOptions parsed = similarity_options(options);
  return named("gradX", local_similarity_backward(in.require("gradOutput"), in.require("x"), parsed.kernel_size,
                                                  parsed.dilation, parsed.similarity));
}

NamedTensors run_offset_sampler(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"groups"});
  return named("output", offset_sampler(in.require("x"), in.require("offset"), options.integer("groups", 4)));
}

NamedTensors run_offset_sampler_backward(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"groups"});
  return named("gradX", "gradOffset",
               offset_sampler_backward(in.require("gradOutput"), in.require("x"), in.require("offset"),
                                       options.integer("groups", 4)));
}

Operator find_operator(const std::string& name) {
  static const std::map<std::string, Operator> table = {
      {"carafe", run_carafe},
      {"carafe_backward", run_carafe_backward},
      {"high_pass", run_high_pass},
      {"kernel_normalizer", run_kernel_normalizer},
      {"kernel_normalizer_backward", run_kernel_normalizer_backward},
      {"hamming_window", run_hamming_window},
      {"local_similarity", run_local_similarity},
      {"local_similarity_backward", run_local_similarity_backward},
      {"offset_sampler", run_offset_sampler},
      {"offset_sampler_backward", run_offset_sampler_backward},
      {"roi_align", run_roi_align},
      {"roi_align_backward", run_roi_align_backward},
      {"roi_levels", run_roi_levels},
      {"roi_extract", run_roi_extract},
      {"nms", run_nms},
      {"batched_nms", run_batched_nms},
      {"multiclass_nms", run_multiclass_nms},
      {"mask_paste", run_mask_paste},
      {"paste_window", run_paste_window},
      {"mask_runs", run_mask_runs},
      {"delta2bbox", run_delta2bbox},
      {"bbox2delta", run_bbox2delta},
      {"base_anchors", run_base_anchors},
      {"grid_anchors", run_grid_anchors},
      {"panoptic_fusion", panoptic_fusion},
      {"preprocess", preprocess},
      {"preprocess_sizes", preprocess_sizes},
  };
  const auto found = table.find(name);
  if (found == table.end()) throw Error::argument("ERR_OPERATOR", "operator", "a known operator", name);
  return found->second;
}

Napi::Value run_operator(const Napi::CallbackInfo& info) {
  OperatorRun run = parse_operator_run(info);
  return submit_tensors(info, info[3], run.device, std::move(run.work));
}

}  // namespace

OperatorRun parse_operator_run(const Napi::CallbackInfo& info) {
  const Operator function = find_operator(info[0].ToString());
  const Options options = parse_options(info[2]);
  NamedTensors inputs = unwrap_tensors(info[1]);
  const c10::Device device = device_of(inputs);
  return {device, [function, options, inputs = std::move(inputs)] { return function(inputs, options); }};
}

void export_operators(Napi::Env env, Napi::Object exports) {
  exports.Set("runOperator", Napi::Function::New(env, boundary<run_operator>, "runOperator"));
}

}  // namespace freqfusion::node
