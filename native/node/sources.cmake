# The addon: the Node boundary on top of the modules. CMAKE_JS_INC comes from cmake-js, or by hand
# (node-api-headers/include;node-addon-api) where there is no cmake-js.
set(node "${CMAKE_CURRENT_LIST_DIR}")

if(DEFINED CMAKE_JS_INC)
  add_library(freqfusion MODULE
    ${node}/addon.cc
    ${node}/allocator.cc
    ${node}/cuda/absent.cc
    ${node}/detection_operators.cc
    ${node}/device_stream.cc
    ${node}/environment.cc
    ${node}/errors.cc
    ${node}/graph_cache.cc
    ${node}/jobs.cc
    ${node}/mapped_file.cc
    ${node}/modules.cc
    ${node}/operators.cc
    ${node}/options.cc
    ${node}/queue.cc
    ${node}/roofs.cc
    ${node}/runtime.cc
    ${node}/tensors.cc
    ${node}/timing.cc
    ${node}/transfers.cc
    ${CMAKE_JS_SRC})
  target_compile_definitions(freqfusion PRIVATE
    NAPI_VERSION=8 NODE_ADDON_API_CPP_EXCEPTIONS NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
  target_include_directories(freqfusion SYSTEM PRIVATE ${CMAKE_JS_INC})
  target_include_directories(freqfusion PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(freqfusion PRIVATE freqfusion_modules freqfusion_ops ff::torch ${CMAKE_JS_LIB})
  set_target_properties(freqfusion PROPERTIES
    PREFIX "" SUFFIX ".node" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
  if(APPLE)
    target_link_options(freqfusion PRIVATE -undefined dynamic_lookup)
  else()
    # A worker that ends must not unmap code that a queue thread or OpenMP's team still stands in.
    target_link_options(freqfusion PRIVATE "-Wl,-z,nodelete"
      "-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/addon.map")
    set_target_properties(freqfusion PROPERTIES LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/cmake/addon.map")
  endif()
endif()
