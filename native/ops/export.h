#pragma once

// Marks the C++ entry points that libfreqfusion_ops offers to the addon; everything else in it is hidden.
#define FREQFUSION_API __attribute__((visibility("default")))
