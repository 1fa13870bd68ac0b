// Writes a model as GGUF in another weight format.

#include <optional>
#include <string>

#include "errors.hpp"
#include "moe/encode.hpp"
#include "moe/quantize.hpp"
#include "watch.hpp"

namespace moe_python {
namespace {

moe::Format format_of(const char* argument, const std::string& name) {
  std::string known;
  for (const moe::FormatInfo& format : moe::kFormats) {
    if (!moe::can_encode(format.format)) continue;
    if (format.name == name) return format.format;
    known += (known.empty() ? "" : ", ") + std::string(format.name);
  }
  raise(moe::ErrorCode::bad_argument, std::string(argument) + " is '" + name + "', expected one of " + known);
}

std::optional<moe::Format> format_of(const char* argument, const std::optional<std::string>& name) {
  return name ? std::optional(format_of(argument, *name)) : std::nullopt;
}

// NOLINTNEXTLINE: one parameter per keyword of libmoe.quantize
moe::QuantizeReport quantize(const std::string& source, const std::string& target,
                             const std::optional<std::string>& type, const std::optional<std::string>& head,
                             const std::optional<std::string>& embedding, bool requantize, bool replace, bool tokenizer,
                             std::int32_t threads, nb::object progress) {
  moe::QuantizeOptions options;
  options.type = format_of("type", type), options.head = format_of("head", head);
  options.embedding = format_of("embedding", embedding);
  options.requantize = requantize, options.replace = replace, options.tokenizer = tokenizer;
  options.threads = start_threads(threads);
  Watch watch(std::move(progress));
  options.on_progress = [&](moe::Progress p) { watch.report(p.done, p.total); };
  options.cancelled = [&] { return watch.cancelled(); };
  return unwrap(watch.run([&] { return moe::quantize(source, target, options); }));
}

}  // namespace

void add_quantization(nb::module_& m) {
  using moe::QuantizedFormat, moe::QuantizeReport;
  nb::class_<QuantizedFormat>(m, "QuantizedFormat", "Tensors that the output holds in one format.")
      .def_prop_ro("name", [](const QuantizedFormat& f) { return std::string(moe::name_of(f.format)); })
      .def_ro("tensor_count", &QuantizedFormat::tensor_count)
      .def_ro("value_count", &QuantizedFormat::value_count)
      .def_ro("bytes_before", &QuantizedFormat::bytes_before)
      .def_ro("bytes_after", &QuantizedFormat::bytes_after)
      .def_ro("relative_rms_error", &QuantizedFormat::relative_rms_error)
      .def("__repr__", [](const QuantizedFormat& f) {
        return nb::str("QuantizedFormat({!r}, tensors={}, relative_rms_error={:.3g})")
            .format(std::string(moe::name_of(f.format)), f.tensor_count, f.relative_rms_error);
      });
  nb::class_<QuantizeReport>(m, "QuantizeReport", "What quantize() wrote.")
      .def_ro("formats", &QuantizeReport::formats, "most bytes first")
      .def_ro("file_bytes_before", &QuantizeReport::file_bytes_before)
      .def_ro("file_bytes_after", &QuantizeReport::file_bytes_after)
      .def_ro("notes", &QuantizeReport::notes, "fallbacks, and what the file cannot say")
      .def("__repr__", [](const QuantizeReport& r) {
        return nb::str("QuantizeReport(formats={}, file_bytes={})").format(nb::cast(r.formats), r.file_bytes_after);
      });
  m.def("quantize", quantize, "source"_a, "target"_a, "type"_a.none(), "head"_a.none(), "embedding"_a.none(),
        "requantize"_a, "replace"_a, "tokenizer"_a, "threads"_a, "progress"_a.none());
}

}  // namespace moe_python
