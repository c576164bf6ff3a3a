#pragma once

#include <memory>

#include "native/modules/backbones/mscan.h"
#include "native/modules/heads/light_ham_head.h"

namespace freqfusion {

// SegNeXt (NeurIPS 2022) with either decode head, as mmsegmentation's EncoderDecoder: state `backbone.*` and
// `decode_head.*`.
class SegNeXt final : public Module {
 public:
  // ERR_OPTION_VALUE where the head does not fit the backbone.
  SegNeXt(const MscanOptions& backbone, const LightHamHeadOptions& head);

  // image [N, in, H, W], normalised -> logits [N, classes, H / 8, W / 8] (of the finest map that the head reads).
  // Stages: stage1 .. stage4, then the head's.
  at::Tensor forward(const at::Tensor& image, const at::Tensor& nmf_bases, Trace* stages = nullptr) const;

  void initialize(uint64_t seed) override;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;
  bool has_host_work(const std::string& method) const override { return method != "forward"; }

 private:
  NamedTensors run_forward(const NamedTensors& inputs, const Options& options) const;
  NamedTensors run_segment(const NamedTensors& inputs, const Options& options) const;
  NamedTensors run_postprocess(const NamedTensors& inputs, const Options& options) const;

  Mscan backbone_;
  LightHamHead decode_head_;
};

// Kind "segnext". Options: backbone {mscan's}, head {light_ham_head's}. Methods:
//   forward {image, nmfBases?}, options stages, size [h, w] -> {logits, segLogit (the logits resized to `size`)}.
//   segment {image uint8 [H, W, 3] RGB, or images of one size [N, H, W, 3], nmfBases?}, options preprocess (see
//     PreprocessOptions), inference (see InferenceOptions), outputs {labels true, logits, probabilities, scores} ->
//     what was asked for: labels uint8 [H, W] (int32 above 256 classes), logits float32 [C, h, w] of the network input
//     (one whole view alone), probabilities float32 [C, H, W], scores float32 [H, W]; all with N where images have it.
//   postprocess {logits [N, C, h, w]}, options network [h, w], content [h, w] (network), size [h, w] (content),
//     outputs -> {labels [N, H, W], probabilities [N, C, H, W], scores [N, H, W]}: the end of `segment` alone.
std::unique_ptr<Module> make_segnext(const Options& options);

}  // namespace freqfusion
