#include "native/modules/registry.h"

#include "native/modules/backbones/mscan.h"
#include "native/modules/backbones/resnet.h"
#include "native/modules/error.h"
#include "native/modules/fusion/freqfusion.h"
#include "native/modules/fusion/fusion_pyramid.h"
#include "native/modules/fusion/offset_generator.h"
#include "native/modules/heads/hamburger.h"
#include "native/modules/heads/light_ham_head.h"
#include "native/modules/heads/roi_head.h"
#include "native/modules/heads/rpn_head.h"
#include "native/modules/heads/semantic_fpn_head.h"
#include "native/modules/models/segnext.h"
#include "native/modules/models/two_stage_detector.h"
#include "native/modules/necks/neck.h"

namespace freqfusion {

namespace {

struct Kind {
  const char* name;
  ModuleFactory make;
};

constexpr Kind kKinds[] = {
    {"freqfusion", make_freqfusion},
    {"offset_generator", make_offset_generator},
    {"fusion_pyramid", make_fusion_pyramid},
    {"mscan", make_mscan},
    {"resnet", make_resnet},
    {"fpn", make_fpn},
    {"hamburger", make_hamburger},
    {"light_ham_head", make_light_ham_head},
    {"segnext", make_segnext},
    {"rpn_head", make_rpn_head},
    {"roi_head", make_roi_head},
    {"semantic_fpn_head", make_semantic_fpn_head},
    {"faster_rcnn", make_faster_rcnn},
    {"mask_rcnn", make_mask_rcnn},
    {"panoptic_fpn", make_panoptic_fpn},
};

}  // namespace

std::unique_ptr<Module> make_module(const std::string& kind, const Options& options) {
  for (const Kind& known : kKinds) {
    if (kind == known.name) return known.make(options);
  }
  throw Error::argument("ERR_MODULE_KIND", "module kind", "one of " + join(module_kinds()), '"' + kind + '"');
}

std::vector<std::string> module_kinds() {
  std::vector<std::string> names;
  for (const Kind& known : kKinds) names.emplace_back(known.name);
  return names;
}

}  // namespace freqfusion
