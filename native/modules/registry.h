#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/modules/module.h"
#include "native/modules/options.h"

namespace freqfusion {

using ModuleFactory = std::unique_ptr<Module> (*)(const Options&);

// A kind ("freqfusion", "segnext", ...) and an options object make a module. The table stands in registry.cpp:
// one line a kind, so that nothing depends on the order of static initialisers.
// ERR_MODULE_KIND for an unknown kind, naming the known ones.
std::unique_ptr<Module> make_module(const std::string& kind, const Options& options);
std::vector<std::string> module_kinds();

}  // namespace freqfusion
