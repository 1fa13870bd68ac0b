// A checkpoint as GGUF in another weight format, from opening it to the finished file.
#include "moe/quantize.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "checkpoint/about.hpp"
#include "convert/conversion.hpp"
#include "convert/convert.hpp"
#include "convert/format_choice.hpp"
#include "model/mtp_model.hpp"
#include "model/plan.hpp"
#include "moe/encode.hpp"
#include "support/same_file.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::about;
using checkpoint::Checkpoint;
using checkpoint::GgufWriter;
using convert::OutputTensor;

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

/// "qwen3_moe" of "models/qwen3_moe/".
std::string name_of_directory(const std::string& path) {
  const std::filesystem::path p = std::filesystem::path(path).lexically_normal();
  return (p.has_filename() ? p : p.parent_path()).filename().string();
}

/// Format errors of the options, before anything is read.
Result<void> check_formats(const QuantizeOptions& options) {
  for (const std::optional<Format>& format : {options.type, options.head, options.embedding})
    if (format && !can_encode(*format))
      return fail(ErrorCode::unsupported, fmt::format("format {} is read but not written", name_of(*format)));
  return {};
}

/// Those of a directory are not written, whatever their names. Most families' are not run from the directory either.
void note_mtp(const ModelConfig& config, const LoadPlan& plan, std::vector<std::string>& notes) {
  if (plan.mtp_parameters == 0) return;
  const bool runs = mtp_config(config, plan.mtp_parameters).has_value();
  notes.push_back(std::string("the layers of multi-token prediction are left out") +
                  (runs ? ": --draft mtp needs the directory" : ""));
}

/// What goes into the file, decided before the file is begun.
struct Content {
  checkpoint::GgufMetadata metadata;
  std::vector<OutputTensor> tensors;
};

Result<Content> decide_content(const std::string& in, const Checkpoint& file, const arch::Recognised& model,
                               const LoadPlan& plan, const QuantizeOptions& options, std::vector<std::string>& notes) {
  const bool directory = file.kind() == checkpoint::Kind::hf;
  auto metadata = directory
                      ? convert::metadata_of_directory(file, model, name_of_directory(in), options.tokenizer, notes)
                      : convert::metadata_of_gguf(file);
  if (!metadata) return forward(metadata);
  if (directory) note_mtp(model.config, plan, notes);
  metadata->u32("general.file_type", convert::file_type(options.type.value_or(convert::kUsualFormat)));
  metadata->u32("general.quantization_version", 2);
  auto tensors = directory ? convert::tensors_of_directory(file, model, plan) : convert::tensors_of_gguf(file);
  if (!tensors) return forward(tensors);
  convert::FormatChoice choice(options, model.config.tie_word_embeddings);
  for (OutputTensor& t : *tensors) t.tensor.format = choice.choose(t);
  choice.report(notes);
  if (auto ok = convert::check_requantize(*tensors, options); !ok) return forward(ok);
  return Content{std::move(*metadata), std::move(*tensors)};
}

Result<GgufWriter> begin_file(const std::string& in, const std::string& out, const Content& content,
                              const QuantizeOptions& options) {
  // The source is read until the output is complete: an output in its place could leave neither.
  if (auto ok = check_not_of_model(out, in); !ok) return forward(ok);
  auto target = OutputFile::create(
      out, {.replace = options.replace, .streams = false, .cancelled = options.cancelled});  // it is read back
  if (!target) return forward(target);
  std::vector<checkpoint::GgufTensor> list;
  for (const OutputTensor& t : content.tensors) list.push_back(t.tensor);
  return GgufWriter::begin(std::move(*target), content.metadata, std::move(list));
}

/// All tensors, in order.
Result<void> write_tensors(const std::string& in, const std::string& out, const ModelConfig& config,
                           std::span<const OutputTensor> all, convert::Conversion& conversion, GgufWriter& writer) {
  const auto run = [&](std::span<const OutputTensor> some) -> Result<void> {
    if (auto ok = conversion.run(some, writer); !ok)
      return about(ok.error().code == ErrorCode::cancelled ? out : in, ok);
    return {};
  };
  // The configuration reads RoPE factors, which stand in front: they must be there when it is compared.
  std::size_t early = 0;
  while (early < all.size() && convert::is_rope_factors(all[early].role)) ++early;
  if (auto ok = run(all.first(early)); !ok) return ok;
  if (auto ok = check_written(writer, config); !ok) return about(in, ok);
  return run(all.subspan(early));
}

}  // namespace

Result<QuantizeReport> quantize(const std::string& in, const std::string& out, const QuantizeOptions& options) {
  if (auto ok = check_formats(options); !ok) return forward(ok);
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
  const auto content = decide_content(in, **file, *model, *plan, options, report.notes);
  if (!content) return about(in, content);
  auto writer = begin_file(in, out, *content, options);
  if (!writer) return forward(writer);
  convert::Conversion conversion(**file, content->tensors, options);
  if (auto ok = write_tensors(in, out, model->config, content->tensors, conversion, *writer); !ok) return forward(ok);
  report.file_bytes_before = static_cast<std::int64_t>((*file)->file_bytes());
  report.file_bytes_after = static_cast<std::int64_t>(writer->file_bytes());
  if (auto ok = writer->finish(); !ok) return forward(ok);
  report.formats = conversion.formats();
  return report;
}

}  // namespace moe::inline MOE_ABI
