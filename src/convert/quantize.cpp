#include "moe/quantize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <span>

#include "convert/convert.hpp"
#include "kernels/packing.hpp"
#include "model/plan.hpp"
#include "model/weight_rows.hpp"
#include "moe/decode.hpp"
#include "moe/encode.hpp"
#include "support/same_file.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::Checkpoint;
using checkpoint::GgufWriter;
using convert::Arrangement;
using convert::OutputTensor;
using convert::Source;

constexpr std::int64_t kUnitValues = 1 << 20;  // worked on at a time: 4 MiB as float32

// --- which format ----------------------------------------------------------------------------------------------------

/// The same format, or the next that rows of this length fit into. Like llama.cpp's choice.
Format fitting(Format wanted, std::int64_t cols) {
  const auto fits = [cols](Format f) { return cols % format_info(f).block_values == 0; };
  if (fits(wanted)) return wanted;
  if (wanted == Format::q4_k && fits(Format::q5_0)) return Format::q5_0;
  if (wanted == Format::q6_k && fits(Format::q8_0)) return Format::q8_0;
  return Format::f16;
}

class FormatChoice {
 public:
  FormatChoice(const QuantizeOptions& options, bool tied) : options_(options), tied_(tied) {}

  Format choose(const OutputTensor& t) {
    if (!t.is_matrix) return Format::f32;
    const Format asked = wanted(t.role), chosen = fitting(asked, t.tensor.cols());
    if (chosen != asked) ++fallbacks_[{asked, chosen, t.tensor.cols()}];
    return chosen;
  }
  void report(std::vector<std::string>& notes) const {
    for (const auto& [what, count] : fallbacks_) {
      const auto& [asked, chosen, cols] = what;
      notes.push_back(fmt::format("{} tensor{} with rows of {} values became {}: {} needs a multiple of {}", count,
                                  count == 1 ? "" : "s", cols, name_of(chosen), name_of(asked),
                                  format_info(asked).block_values));
    }
  }

 private:
  Format wanted(arch::Role role) const {
    if (role == arch::Role::head) return options_.head.value_or(options_.type);
    if (role == arch::Role::embedding)
      return options_.embedding.value_or(tied_ ? options_.head.value_or(options_.type) : options_.type);
    return options_.type;
  }
  const QuantizeOptions& options_;
  bool tied_;
  std::map<std::tuple<Format, Format, std::int64_t>, std::int64_t> fallbacks_;
};

/// Value of general.file_type that stands for "mostly this format" with GGUF's readers.
std::uint32_t file_type(Format format) {
  switch (format) {
    case Format::f32: return 0;
    case Format::f16: return 1;
    case Format::q4_0: return 2;
    case Format::q4_1: return 3;
    case Format::q8_0: return 7;
    case Format::q5_0: return 8;
    case Format::q5_1: return 9;
    case Format::q4_k: return 14;
    case Format::q6_k: return 18;
    case Format::bf16: return 32;
    default: return 1024;  // "guessed"
  }
}

/// Rows whose bytes go over as they are.
bool is_copy(const OutputTensor& t) {
  if (t.arrangement != Arrangement::straight || t.added != 0.0f) return false;
  return std::all_of(t.sources.begin(), t.sources.end(),
                     [&](const Source& s) { return s.tensor->format == t.tensor.format && s.step == 1; });
}

Result<void> check_requantize(const std::vector<OutputTensor>& tensors, const QuantizeOptions& options) {
  if (options.requantize) return {};
  for (const OutputTensor& t : tensors) {
    if (t.sources.empty()) continue;
    if (const Format from = t.sources.front().tensor->format;
        format_info(from).block_values > 1 && format_info(t.tensor.format).block_values > 1 && !is_copy(t))
      return fail(
          ErrorCode::unsupported,
          fmt::format(
              "tensor {} is {} already: quantising it again to {} adds the errors of both; requantize allows it",
              t.sources.front().tensor->name, name_of(from), name_of(t.tensor.format)));
  }
  return {};
}

// --- the work --------------------------------------------------------------------------------------------------------

/// Some output rows of one tensor, made from one source.
struct Unit {
  const OutputTensor* tensor;
  const Source* source;     // null: the tensor's own values
  std::int64_t begin, end;  // rows that the source gives
};

/// What a unit is made in, and what it made.
struct Workspace {
  std::vector<std::byte> raw, encoded;
  std::vector<float> values, arranged, decoded;
  double error_squares = 0.0, squares = 0.0;
};

std::int64_t rows_given(const OutputTensor& t, const Source& s) {
  return t.arrangement == Arrangement::transposed ? s.columns() : s.row_count;
}

std::vector<Unit> cut_into_units(std::span<const OutputTensor> tensors) {
  std::vector<Unit> units;
  for (const OutputTensor& t : tensors) {
    if (t.sources.empty()) units.push_back({&t, nullptr, 0, 1});
    for (const Source& s : t.sources) {
      const std::int64_t rows = rows_given(t, s);
      std::int64_t step = std::max<std::int64_t>(1, kUnitValues / t.tensor.cols());
      if (t.arrangement == Arrangement::rope_pairs) step = std::max(t.head_rows, step / t.head_rows * t.head_rows);
      if (t.arrangement == Arrangement::transposed) step = rows;
      for (std::int64_t begin = 0; begin < rows; begin += step)
        units.push_back({&t, &s, begin, std::min(rows, begin + step)});
    }
  }
  return units;
}

/// Rows [first, first + count) of a source, widened.
Result<void> read_rows(const Checkpoint& file, const Source& s, std::int64_t first, std::int64_t count,
                       Workspace& work) {
  const std::int64_t cols = s.tensor->cols(), bytes = row_bytes(s.tensor->format, cols);
  work.raw.resize(static_cast<std::size_t>(count * bytes));
  if (auto ok = file.read(*s.tensor, static_cast<std::uint64_t>((s.first_row + first) * bytes), work.raw); !ok)
    return ok;
  work.values.resize(static_cast<std::size_t>(count * cols));
  decode_row(s.tensor->format, work.raw.data(), count * cols, work.values.data());
  return {};
}

/// The unit's rows as float32, in work.values.
Result<void> fill(const Checkpoint& file, const Unit& unit, Workspace& work) {
  const OutputTensor& t = *unit.tensor;
  const Source& source = *unit.source;
  const std::int64_t cols = t.tensor.cols(), stored = source.tensor->cols(), count = unit.end - unit.begin;
  if (t.arrangement != Arrangement::transposed) {
    if (auto ok = read_rows(file, source, unit.begin, count, work); !ok) return ok;
    if (t.added != 0.0f)
      for (float& x : work.values) x += t.added;
    if (t.arrangement == Arrangement::straight && source.step == 1) return {};
    work.arranged.resize(static_cast<std::size_t>(count * cols));
    if (t.arrangement == Arrangement::straight) {
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t c = 0; c < cols; ++c)
          work.arranged[static_cast<std::size_t>(r * cols + c)] =
              work.values[static_cast<std::size_t>(r * stored + source.first_column + c * source.step)];
      work.values.swap(work.arranged);
      return {};
    }
    const std::int64_t half = t.head_rows / 2;
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t in_head = r % t.head_rows, from = r - in_head + (in_head % 2) * half + in_head / 2;
      std::memcpy(work.arranged.data() + r * cols, work.values.data() + from * cols,
                  static_cast<std::size_t>(cols) * sizeof(float));
    }
  } else {
    if (auto ok = read_rows(file, source, 0, cols, work); !ok) return ok;
    work.arranged.resize(static_cast<std::size_t>(count * cols));
    for (std::int64_t r = 0; r < cols; ++r)
      for (std::int64_t c = 0; c < count; ++c)
        work.arranged[static_cast<std::size_t>(c * cols + r)] =
            work.values[static_cast<std::size_t>(r * stored + source.first_column + c * source.step)];
  }
  work.values.swap(work.arranged);
  return {};
}

Result<void> encode(const Checkpoint& file, const Unit& unit, Workspace& work) {
  const OutputTensor& t = *unit.tensor;
  const std::int64_t cols = t.tensor.cols(), rows = unit.end - unit.begin, bytes = row_bytes(t.tensor.format, cols);
  work.error_squares = work.squares = 0.0;
  if (unit.source == nullptr) {
    const auto values = std::as_bytes(std::span(t.values));
    work.encoded.assign(values.begin(), values.end());
    return {};
  }
  if (is_copy(t)) {
    work.encoded.resize(static_cast<std::size_t>(rows * bytes));
    const std::int64_t first = unit.source->first_row + unit.begin;
    if (auto ok = file.read(*unit.source->tensor, static_cast<std::uint64_t>(first * bytes), work.encoded); !ok)
      return ok;
    for (std::int64_t r = 0; r < rows; ++r)
      if (!kernels::row_is_valid(t.tensor.format, cols, work.encoded.data() + r * bytes))
        return tl::unexpected<Error>(not_finite(unit.source->tensor->name, first + r, t.tensor.format));
    return {};
  }
  if (auto ok = fill(file, unit, work); !ok) return ok;
  work.encoded.resize(static_cast<std::size_t>(rows * bytes));
  for (std::int64_t r = 0; r < rows; ++r)
    if (auto ok = encode_row(t.tensor.format, work.values.data() + r * cols, cols, work.encoded.data() + r * bytes);
        !ok)
      return fail(ok.error().code, fmt::format("tensor {}, row {} of {}: {}", t.tensor.name, unit.begin + r,
                                               unit.source->tensor->name, ok.error().message));
  work.decoded.resize(work.values.size());
  decode_row(t.tensor.format, work.encoded.data(), rows * cols, work.decoded.data());
  for (std::size_t i = 0; i < work.values.size(); ++i) {
    const double w = work.values[i], difference = w - work.decoded[i];
    work.error_squares += difference * difference;
    work.squares += w * w;
  }
  return {};
}

class Conversion {
 public:
  Conversion(const Checkpoint& file, const std::vector<OutputTensor>& tensors, const QuantizeOptions& options)
      : file_(file), tensors_(tensors), options_(options) {}

  /// Groups of units of some of the tensors are made in parallel and written in order.
  Result<void> run(std::span<const OutputTensor> tensors, GgufWriter& out);
  std::vector<QuantizedFormat> formats() const;

 private:
  struct Sums {
    double error_squares = 0.0, squares = 0.0;
  };
  Result<void> make(std::span<const Unit> group, std::vector<Workspace>& work);
  bool stop(const GgufWriter& out);

  const Checkpoint& file_;
  const std::vector<OutputTensor>& tensors_;
  const QuantizeOptions& options_;
  std::map<Format, Sums> sums_;
  std::chrono::steady_clock::time_point last_report_{};
};

Result<void> Conversion::make(std::span<const Unit> group, std::vector<Workspace>& work) {
  std::mutex mutex;
  std::int64_t first_failed = static_cast<std::int64_t>(group.size());
  Error error;
  parallel_for(options_.threads, static_cast<std::int64_t>(group.size()), [&](std::int64_t i, std::int32_t) {
    const auto at = static_cast<std::size_t>(i);
    if (auto ok = encode(file_, group[at], work[at]); !ok) {
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

bool Conversion::stop(const GgufWriter& out) {
  if (options_.on_progress)
    if (const auto now = std::chrono::steady_clock::now(); now - last_report_ >= std::chrono::milliseconds(100)) {
      last_report_ = now;
      options_.on_progress(
          {static_cast<std::int64_t>(out.file().position()), static_cast<std::int64_t>(out.file_bytes())});
    }
  return options_.cancelled && options_.cancelled();
}

Result<void> Conversion::run(std::span<const OutputTensor> tensors, GgufWriter& out) {
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
      f.bytes_before += s.row_count * row_bytes(s.tensor->format, s.tensor->cols()) / s.step;
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

/// Opens what will be read back: same configuration, and every tensor that the family asks for.
Result<void> check_written(const GgufWriter& out, const ModelConfig& in) {
  const auto written = checkpoint::open(out.file().part_path());
  if (!written) return forward(written);
  const auto model = arch::recognise(**written);
  if (!model) return forward(model);
  if (auto ok = convert::check_same_model(in, model->config, model->family->gguf_rope_pairs); !ok) return ok;
  Weights shapes;
  const auto plan = plan_weights(**written, *model, shapes);
  return plan ? Result<void>{} : forward(plan);
}

template <class T>
tl::unexpected<Error> about(const std::string& path, const Result<T>& failed) {
  const std::string& message = failed.error().message;
  return fail(failed.error().code,
              message.find(path) != std::string::npos ? message : fmt::format("{}: {}", path, message));
}

/// "qwen3_moe" of "models/qwen3_moe/".
std::string name_of_directory(const std::string& path) {
  const std::filesystem::path p = std::filesystem::path(path).lexically_normal();
  return (p.has_filename() ? p : p.parent_path()).filename().string();
}

}  // namespace

Result<QuantizeReport> quantize(const std::string& in, const std::string& out, const QuantizeOptions& options) {
  for (const Format format :
       {options.type, options.head.value_or(options.type), options.embedding.value_or(options.type)})
    if (!can_encode(format))
      return fail(ErrorCode::unsupported, fmt::format("format {} is read but not written", name_of(format)));
  if (auto ok = check_workers(options.threads); !ok) return forward(ok);
  const auto file = checkpoint::open(in);
  if (!file) return about(in, file);
  const auto model = arch::recognise(**file);
  if (!model) return about(in, model);
  Weights shapes;
  const auto plan = plan_weights(**file, *model, shapes);
  if (!plan) return about(in, plan);

  QuantizeReport report;
  for (const std::vector<std::string>* notes : {&model->notes, &plan->notes})
    report.notes.insert(report.notes.end(), notes->begin(), notes->end());
  const bool directory = (*file)->kind() == checkpoint::Kind::hf;
  auto metadata =
      directory ? convert::metadata_of_directory(**file, *model, name_of_directory(in), options.tokenizer, report.notes)
                : convert::metadata_of_gguf(**file);
  if (!metadata) return about(in, metadata);
  metadata->u32("general.file_type", file_type(options.type));
  metadata->u32("general.quantization_version", 2);
  auto tensors = directory ? convert::tensors_of_directory(**file, *model) : convert::tensors_of_gguf(**file);
  if (!tensors) return about(in, tensors);
  FormatChoice choice(options, model->config.tie_word_embeddings);
  std::vector<checkpoint::GgufTensor> list;
  for (OutputTensor& t : *tensors) {
    t.tensor.format = choice.choose(t);
    list.push_back(t.tensor);
  }
  choice.report(report.notes);
  if (auto ok = check_requantize(*tensors, options); !ok) return about(in, ok);

  // What the output replaces is read until it is complete, and is all there is of the original.
  if (auto ok = check_not_of_model(out, in); !ok) return forward(ok);
  auto target = OutputFile::create(
      out, {.replace = options.replace, .streams = false, .cancelled = options.cancelled});  // it is read back
  if (!target) return forward(target);
  auto writer = GgufWriter::begin(std::move(*target), *metadata, std::move(list));
  if (!writer) return forward(writer);
  Conversion conversion(**file, *tensors, options);
  const auto run = [&](std::span<const OutputTensor> some) -> Result<void> {
    if (auto ok = conversion.run(some, *writer); !ok)
      return about(ok.error().code == ErrorCode::cancelled ? out : in, ok);
    return {};
  };
  // The configuration reads RoPE factors, which stand in front: they must be there when it is compared.
  const auto all = std::span<const OutputTensor>(*tensors);
  std::size_t early = 0;
  while (early < all.size() && convert::is_rope_factors(all[early].role)) ++early;
  if (auto ok = run(all.first(early)); !ok) return forward(ok);
  if (auto ok = check_written(*writer, model->config); !ok) return about(in, ok);
  if (auto ok = run(all.subspan(early)); !ok) return forward(ok);
  report.file_bytes_before = static_cast<std::int64_t>((*file)->file_bytes());
  report.file_bytes_after = static_cast<std::int64_t>(writer->file_bytes());
  if (auto ok = writer->finish(); !ok) return forward(ok);
  report.formats = conversion.formats();
  return report;
}

}  // namespace moe::inline MOE_ABI
