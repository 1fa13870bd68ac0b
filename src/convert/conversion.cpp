#include "convert/conversion.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "model/weight_rows.hpp"

namespace moe::inline MOE_ABI::convert {

Result<void> Conversion::make(std::span<const Unit> group, std::vector<Workspace>& work) {
  std::mutex mutex;
  std::int64_t first_failed = static_cast<std::int64_t>(group.size());
  Error error;
  parallel_for(options_.threads, static_cast<std::int64_t>(group.size()), [&](std::int64_t i, std::int32_t) {
    const auto at = static_cast<std::size_t>(i);
    if (auto ok = encode_unit(file_, group[at], work[at]); !ok) {
      const std::lock_guard lock(mutex);
      if (i < first_failed) {
        first_failed = i;
        error = ok.error();
      }
    }
  });
  if (first_failed < static_cast<std::int64_t>(group.size())) return tl::unexpected<Error>(std::move(error));
  return {};
}

bool Conversion::stop(const checkpoint::GgufWriter& out) {
  if (options_.on_progress)
    if (const auto now = std::chrono::steady_clock::now(); now - last_report_ >= std::chrono::milliseconds(100)) {
      last_report_ = now;
      options_.on_progress(
          {static_cast<std::int64_t>(out.file().position()), static_cast<std::int64_t>(out.file_bytes())});
    }
  return options_.cancelled && options_.cancelled();
}

Result<void> Conversion::run(std::span<const OutputTensor> tensors, checkpoint::GgufWriter& out) {
  const std::vector<Unit> units = cut_into_units(tensors);
  // Twice the workers, so that units of different sizes even out.
  std::vector<Workspace> work(static_cast<std::size_t>(options_.threads.worker_count) * 2);
  for (std::size_t done = 0; done < units.size(); done += work.size()) {
    if (stop(out)) return fail(ErrorCode::cancelled, "quantising was cancelled");
    const auto group = std::span(units).subspan(done, std::min(work.size(), units.size() - done));
    if (auto ok = make(group, work); !ok) return ok;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (auto ok = out.write(work[i].encoded); !ok) return ok;
      Sums& sums = sums_[group[i].tensor->tensor.format];
      sums.error_squares += work[i].error_squares;
      sums.squares += work[i].squares;
    }
  }
  return {};
}

std::vector<QuantizedFormat> Conversion::formats() const {
  std::map<Format, QuantizedFormat> by_format;
  for (const OutputTensor& t : tensors_) {
    QuantizedFormat& f = by_format[t.tensor.format];
    f.format = t.tensor.format;
    f.tensor_count += 1;
    f.value_count += t.tensor.rows() * t.tensor.cols();
    f.bytes_after += static_cast<std::int64_t>(t.tensor.bytes());
    for (const Source& s : t.sources)
      f.bytes_before += s.coded != nullptr ? s.row_count * stored_row_bytes(*s.coded)
                                           : s.row_count * row_bytes(s.tensor->format, s.tensor->cols()) / s.step;
  }
  std::vector<QuantizedFormat> out;
  for (auto& [format, f] : by_format) {
    if (const auto sums = sums_.find(format); sums != sums_.end() && sums->second.squares > 0.0)
      f.relative_rms_error = std::sqrt(sums->second.error_squares / sums->second.squares);
    out.push_back(f);
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.bytes_after > b.bytes_after; });
  return out;
}

}  // namespace moe::inline MOE_ABI::convert
