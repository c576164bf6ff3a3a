# The modules and models, linked into the addon.
set(modules "${CMAKE_CURRENT_LIST_DIR}")

add_library(freqfusion_modules OBJECT
  ${modules}/module.cpp
  ${modules}/network.cpp
  ${modules}/options.cpp
  ${modules}/option_values.cpp
  ${modules}/registry.cpp
  ${modules}/folding.cpp
  ${modules}/layers.cpp
  ${modules}/onednn.cpp
  ${modules}/fused_conv.cpp
  ${modules}/fusion/freqfusion.cpp
  ${modules}/fusion/freqfusion_options.cpp
  ${modules}/fusion/offset_generator.cpp
  ${modules}/fusion/fusion_pyramid.cpp
  ${modules}/backbones/mscan.cpp
  ${modules}/backbones/resnet.cpp
  ${modules}/upsamplers/upsampler.cpp
  ${modules}/upsamplers/carafe.cpp
  ${modules}/upsamplers/deconv.cpp
  ${modules}/upsamplers/pixel_shuffle.cpp
  ${modules}/necks/neck.cpp
  ${modules}/necks/fpn.cpp
  ${modules}/necks/fpn_carafe.cpp
  ${modules}/necks/fpn_freqfusion.cpp
  ${modules}/heads/conv_module.cpp
  ${modules}/heads/hamburger.cpp
  ${modules}/heads/light_ham_head.cpp
  ${modules}/heads/rpn_head.cpp
  ${modules}/heads/bbox_head.cpp
  ${modules}/heads/mask_head.cpp
  ${modules}/heads/roi_head.cpp
  ${modules}/heads/semantic_fpn_head.cpp
  ${modules}/detection/inputs.cpp
  ${modules}/detection/test_options.cpp
  ${modules}/detection/top_scores.cpp
  ${modules}/detection/regions.cpp
  ${modules}/detection/panoptic_fusion.cpp
  ${modules}/models/inference.cpp
  ${modules}/models/segnext.cpp
  ${modules}/models/two_stage_detector.cpp
  ${modules}/image/resize.cpp
  ${modules}/image/preprocess.cpp
  ${modules}/image/interpolation.cpp
  ${modules}/image/class_vectors.cpp
  ${modules}/image/postprocess.cpp)
target_include_directories(freqfusion_modules PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(freqfusion_modules PUBLIC ff::torch)
