#include "native/modules/image/postprocess.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <memory>

#include "native/modules/image/class_vectors.h"
#include "native/modules/image/interpolation.h"

namespace freqfusion {
namespace {

constexpr int64_t kRowsPerTask = 8;

// Logits with the classes of a pixel side by side.
struct PixelMajor {
  at::Tensor tensor;  // float32 [h, w, C]
  int64_t height, width, classes;

  // logits [N, C, h, w], of which one image is taken.
  PixelMajor(const at::Tensor& logits, int64_t image)
      : tensor(logits.detach().select(0, image).to(at::kCPU, at::kFloat).permute({1, 2, 0}).contiguous()),
        height(tensor.size(0)),
        width(tensor.size(1)),
        classes(tensor.size(2)) {}
  const float* row(int64_t y) const { return tensor.const_data_ptr<float>() + y * width * classes; }
};

void blend_rows(const PixelMajor& logits, const Taps& rows, int64_t y, float* out) {
  const int64_t length = logits.width * logits.classes;
  class_vectors::set_scaled(out, logits.row(rows.start[y]), rows.of(y)[0], length);
  for (int64_t k = 1; k < rows.count; ++k) {
    const float weight = rows.of(y)[k];
    if (weight != 0) class_vectors::add_scaled(out, logits.row(rows.start[y] + k), weight, length);
  }
}

void blend_pixel(const float* row, const Taps& columns, int64_t x, int64_t classes, float* out) {
  const float* pixel = row + columns.start[x] * classes;
  class_vectors::set_scaled(out, pixel, columns.of(x)[0], classes);
  for (int64_t k = 1; k < columns.count; ++k) {
    class_vectors::add_scaled(out, pixel + k * classes, columns.of(x)[k], classes);
  }
}

// A view whose pixels can be read in any order, by several threads.
class PreparedView {
 public:
  virtual ~PreparedView() = default;
  // What one thread needs to walk down the rows.
  class Cursor {
   public:
    virtual ~Cursor() = default;
    virtual void begin_row(int64_t y) = 0;
    virtual void pixel(int64_t x, float* out) const = 0;
    // The label of the pixel where it is known without its logits, or -1.
    virtual int64_t settled(int64_t) const { return -1; }
  };
  virtual std::unique_ptr<Cursor> cursor() const = 0;
};

// The output columns of a mirrored view, in reverse.
Taps mirrored(const Taps& taps) {
  Taps result = taps;
  std::reverse(result.start.begin(), result.start.end());
  for (int64_t i = 0; i < taps.outputs(); ++i) {
    std::copy_n(taps.of(taps.outputs() - 1 - i), taps.count, result.weights.begin() + i * taps.count);
  }
  return result;
}

// One window: both resizes are one resampling of the logits.
class WholeView final : public PreparedView {
 public:
  WholeView(const LogitView& view, int64_t image, ImageSize size, bool align_corners)
      : logits_(view.windows.front().logits, image),
        rows_(compose(bilinear_taps(logits_.height, view.network.height, align_corners),
                      bilinear_taps(view.content.height, size.height, align_corners))),
        columns_(compose(bilinear_taps(logits_.width, view.network.width, align_corners),
                         bilinear_taps(view.content.width, size.width, align_corners))),
        best_(logits_.height * logits_.width) {
    if (view.flip) columns_ = mirrored(columns_);
    at::parallel_for(0, logits_.height, kRowsPerTask, [this](int64_t begin, int64_t end) {
      for (int64_t i = begin * logits_.width; i < end * logits_.width; ++i) {
        best_[i] = static_cast<int32_t>(class_vectors::argmax(logits_.row(0) + i * logits_.classes, logits_.classes));
      }
    });
  }
  std::unique_ptr<Cursor> cursor() const override { return std::make_unique<WholeCursor>(*this); }

 private:
  class WholeCursor final : public Cursor {
   public:
    explicit WholeCursor(const WholeView& view)
        : view_(view), row_(view.logits_.width * view.logits_.classes), best_(view.logits_.width) {}

    void begin_row(int64_t y) override {
      blend_rows(view_.logits_, view_.rows_, y, row_.data());
      const int64_t width = view_.logits_.width;
      const int32_t* first = view_.best_.data() + view_.rows_.start[y] * width;
      std::copy_n(first, width, best_.begin());
      for (int64_t k = 1; k < view_.rows_.count; ++k) {
        for (int64_t x = 0; x < width; ++x) {
          if (first[k * width + x] != best_[x]) best_[x] = -1;
        }
      }
    }
    void pixel(int64_t x, float* out) const override {
      blend_pixel(row_.data(), view_.columns_, x, view_.logits_.classes, out);
    }
    // The weights are not negative and sum to 1: the class that is greatest at every logit that a pixel reads is
    // the greatest of the pixel.
    int64_t settled(int64_t x) const override {
      const int32_t* best = best_.data() + view_.columns_.start[x];
      for (int64_t k = 1; k < view_.columns_.count; ++k) {
        if (best[k] != best[0]) return -1;
      }
      return best[0];
    }

   private:
    const WholeView& view_;
    std::vector<float> row_;
    std::vector<int32_t> best_;
  };

  PixelMajor logits_;
  Taps rows_, columns_;
  std::vector<int32_t> best_;  // greatest class of every logit
};

// Overlapping windows: their mean is formed row by row at the network input's size.
class SlidingView final : public PreparedView {
 public:
  SlidingView(const LogitView& view, int64_t image, ImageSize size, bool align_corners)
      : width_(view.network.width),
        rows_(bilinear_taps(view.content.height, size.height, align_corners)),
        columns_(bilinear_taps(view.content.width, size.width, align_corners)) {
    if (view.flip) columns_ = mirrored(columns_);
    for (const LogitWindow& window : view.windows) {
      PixelMajor logits(window.logits, image);
      Taps rows = bilinear_taps(logits.height, window.size.height, align_corners);
      Taps columns = bilinear_taps(logits.width, window.size.width, align_corners);
      windows_.push_back({std::move(logits), std::move(rows), std::move(columns), window.top, window.left});
    }
    classes_ = windows_.front().logits.classes;
  }
  std::unique_ptr<Cursor> cursor() const override { return std::make_unique<SlidingCursor>(*this); }

 private:
  struct Window {
    PixelMajor logits;
    Taps rows, columns;
    int64_t top, left;
  };

  class SlidingCursor final : public Cursor {
   public:
    explicit SlidingCursor(const SlidingView& view)
        : view_(view), row_(view.width_ * view.classes_), count_(view.width_), pixel_(view.classes_) {
      for (auto& mean : means_) mean.resize(row_.size());
    }

    void begin_row(int64_t y) override {
      const int64_t first = view_.rows_.start[y];
      const auto length = static_cast<int64_t>(row_.size());
      const float* weights = view_.rows_.of(y);
      class_vectors::set_scaled(row_.data(), mean_row(first), weights[0], length);
      if (view_.rows_.count == 2 && weights[1] != 0) {
        class_vectors::add_scaled(row_.data(), mean_row(first + 1), weights[1], length);
      }
    }
    void pixel(int64_t x, float* out) const override {
      blend_pixel(row_.data(), view_.columns_, x, view_.classes_, out);
    }

   private:
    // Row y of the network-sized mean. Neighbouring rows lie in different slots.
    const float* mean_row(int64_t y) {
      const int64_t slot = y % 2;
      if (held_[slot] == y) return means_[slot].data();
      held_[slot] = y;
      float* mean = means_[slot].data();
      std::fill(means_[slot].begin(), means_[slot].end(), 0.F);
      std::fill(count_.begin(), count_.end(), 0.F);
      for (const Window& window : view_.windows_) {
        if (y >= window.top && y < window.top + window.rows.outputs()) add_window_row(window, y - window.top, mean);
      }
      for (int64_t x = 0; x < view_.width_; ++x) {
        float* pixel = mean + x * view_.classes_;
        if (count_[x] > 1) class_vectors::set_scaled(pixel_.data(), pixel, 1.F / count_[x], view_.classes_);
        if (count_[x] > 1) std::copy(pixel_.begin(), pixel_.end(), pixel);
      }
      return mean;
    }

    void add_window_row(const Window& window, int64_t y, float* mean) {
      logit_row_.resize(window.logits.width * view_.classes_);
      blend_rows(window.logits, window.rows, y, logit_row_.data());
      for (int64_t x = 0; x < window.columns.outputs(); ++x) {
        blend_pixel(logit_row_.data(), window.columns, x, view_.classes_, pixel_.data());
        class_vectors::add_scaled(mean + (window.left + x) * view_.classes_, pixel_.data(), 1.F, view_.classes_);
        count_[window.left + x] += 1;
      }
    }

    const SlidingView& view_;
    std::vector<float> row_, logit_row_, count_, pixel_;
    std::vector<float> means_[2];
    int64_t held_[2] = {-1, -1};
  };

  int64_t width_, classes_ = 0;
  Taps rows_, columns_;
  std::vector<Window> windows_;
};

struct Targets {
  uint8_t* bytes = nullptr;  // labels, as one of the two
  int32_t* words = nullptr;
  float* scores = nullptr;
  float* probabilities = nullptr;
};

// A thread's share of the rows.
class RowWriter {
 public:
  RowWriter(const std::vector<std::unique_ptr<PreparedView>>& views, ImageSize size, int64_t classes, bool softmax,
            const Targets& targets)
      : size_(size), classes_(classes), softmax_(softmax), targets_(targets), pixel_(classes), mean_(classes) {
    for (const auto& view : views) cursors_.push_back(view->cursor());
    if (targets.probabilities != nullptr) row_.resize(size.width * classes);
  }

  void write(int64_t y) {
    for (auto& cursor : cursors_) cursor->begin_row(y);
    for (int64_t x = 0; x < size_.width; ++x) {
      const int64_t at = y * size_.width + x;
      const int64_t settled = softmax_ ? -1 : cursors_.front()->settled(x);
      if (settled >= 0) {
        label(at, settled);
        continue;
      }
      const float* values = evaluate(x);
      const int64_t best = class_vectors::argmax(values, classes_);
      label(at, best);
      if (targets_.scores != nullptr) targets_.scores[at] = values[best];
      if (targets_.probabilities != nullptr) std::copy_n(values, classes_, row_.data() + x * classes_);
    }
    if (targets_.probabilities == nullptr) return;
    for (int64_t c = 0; c < classes_; ++c) {
      float* plane = targets_.probabilities + (c * size_.height + y) * size_.width;
      for (int64_t x = 0; x < size_.width; ++x) plane[x] = row_[x * classes_ + c];
    }
  }

 private:
  // Logits of the one view, or the mean of the views' probabilities.
  const float* evaluate(int64_t x) {
    cursors_.front()->pixel(x, pixel_.data());
    if (!softmax_) return pixel_.data();
    class_vectors::softmax(pixel_.data(), classes_);
    if (cursors_.size() == 1) return pixel_.data();
    const float share = 1.F / static_cast<float>(cursors_.size());
    class_vectors::set_scaled(mean_.data(), pixel_.data(), share, classes_);
    for (size_t i = 1; i < cursors_.size(); ++i) {
      cursors_[i]->pixel(x, pixel_.data());
      class_vectors::softmax(pixel_.data(), classes_);
      class_vectors::add_scaled(mean_.data(), pixel_.data(), share, classes_);
    }
    return mean_.data();
  }

  void label(int64_t at, int64_t value) {
    if (targets_.bytes != nullptr) targets_.bytes[at] = static_cast<uint8_t>(value);
    if (targets_.words != nullptr) targets_.words[at] = static_cast<int32_t>(value);
  }

  ImageSize size_;
  int64_t classes_;
  bool softmax_;
  Targets targets_;
  std::vector<std::unique_ptr<PreparedView::Cursor>> cursors_;
  std::vector<float> pixel_, mean_, row_;
};

std::vector<std::unique_ptr<PreparedView>> prepare_views(const std::vector<LogitView>& views, int64_t image,
                                                         ImageSize size, bool align_corners) {
  std::vector<std::unique_ptr<PreparedView>> prepared;
  for (const LogitView& view : views) {
    if (view.windows.size() == 1) {
      prepared.push_back(std::make_unique<WholeView>(view, image, size, align_corners));
    } else {
      prepared.push_back(std::make_unique<SlidingView>(view, image, size, align_corners));
    }
  }
  return prepared;
}

}  // namespace

SegmentationMaps segmentation_maps(const std::vector<LogitView>& views, ImageSize size,
                                   const SegmentationRequest& request, bool align_corners) {
  if (!request.labels && !request.scores && !request.probabilities) return {};
  const at::Tensor& logits = views.front().windows.front().logits;
  const int64_t images = logits.size(0), classes = logits.size(1);
  const auto cpu = at::TensorOptions(at::kCPU);
  SegmentationMaps maps;
  if (request.labels) {
    maps.labels = at::empty({images, size.height, size.width}, cpu.dtype(classes <= 256 ? at::kByte : at::kInt));
  }
  if (request.scores) maps.scores = at::empty({images, size.height, size.width}, cpu.dtype(at::kFloat));
  if (request.probabilities) {
    maps.probabilities = at::empty({images, classes, size.height, size.width}, cpu.dtype(at::kFloat));
  }
  const bool softmax = request.scores || request.probabilities || views.size() > 1;
  for (int64_t image = 0; image < images; ++image) {
    const auto prepared = prepare_views(views, image, size, align_corners);
    const int64_t first = image * size.height * size.width;
    Targets targets;
    if (request.labels && classes <= 256) targets.bytes = maps.labels.mutable_data_ptr<uint8_t>() + first;
    if (request.labels && classes > 256) targets.words = maps.labels.mutable_data_ptr<int32_t>() + first;
    if (request.scores) targets.scores = maps.scores.mutable_data_ptr<float>() + first;
    if (request.probabilities) {
      targets.probabilities = maps.probabilities.mutable_data_ptr<float>() + first * classes;
    }
    at::parallel_for(0, size.height, kRowsPerTask, [&](int64_t begin, int64_t end) {
      RowWriter writer(prepared, size, classes, softmax, targets);
      for (int64_t y = begin; y < end; ++y) writer.write(y);
    });
  }
  return maps;
}

}  // namespace freqfusion
