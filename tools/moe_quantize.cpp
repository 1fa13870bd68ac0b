// moe-quantize: writes a model as GGUF, its matrices in another weight format, or as a packed file.

#include <fmt/format.h>

#include <cctype>
#include <chrono>
#include <string>

#include "moe/content_hash.hpp"
#include "moe/encode.hpp"
#include "moe/pack.hpp"
#include "moe/quantize.hpp"
#include "support/show.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

constexpr const char* kFooter =
    R"(
Examples:
  moe-quantize models/nano/nano-moe nano-moe-q8_0.gguf
  moe-quantize model.gguf model-q4_k.gguf --type q4_k --head q6_k
  moe-quantize models/qwen3 qwen3-f16.gguf --type f16
  moe-quantize --pack model-q4_k.gguf          writes model-q4_k.moepack, for --pack-cache

Formats of tensors:
  norms, biases, router        f32
  rows that do not fit         q4_k -> q5_0, q6_k -> q8_0 (rows of a multiple of 32), else f16
  the same format as before    copied, byte by byte
  MXFP4 (gpt-oss's experts)    --type if it is given, else mxfp4, byte by byte
  all other matrices           --type, else q8_0

)"
    "The output appears when it is complete.\n"
    "Exit status: 0 done, 1 bad input, 2 wrong usage, 3 internal error or out of memory, 130 interrupted.";

std::string format_list() {
  std::string names;
  for (const moe::FormatInfo& f : moe::kFormats)
    if (moe::can_encode(f.format)) names += (names.empty() ? "" : ", ") + std::string(f.name);
  return names;
}

/// Throws CLI::ValidationError, which the caller of the body turns into one line.
moe::Format format_named(const std::string& option, std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const moe::FormatInfo& f : moe::kFormats)
    if (f.name == name && moe::can_encode(f.format)) return f.format;
  throw CLI::ValidationError(option, "is '" + name + "', expected one of " + format_list());
}

std::string megabytes(std::int64_t bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / 1e6); }

std::string table_of(const std::string& out, const moe::QuantizeReport& report) {
  std::string text = fmt::format("{:<8}  {:>8}  {:>12}  {:>12}  {:>12}  {:>10}\n", "format", "tensors", "values",
                                 "MB before", "MB after", "rms error") +
                     std::string(72, '-') + "\n";
  moe::QuantizedFormat all;
  for (const moe::QuantizedFormat& f : report.formats) {
    text += fmt::format("{:<8}  {:>8}  {:>12}  {:>12}  {:>12}  {:>10}\n", moe::name_of(f.format), f.tensor_count,
                        f.value_count, megabytes(f.bytes_before), megabytes(f.bytes_after),
                        f.relative_rms_error > 0.0 ? fmt::format("{:.2e}", f.relative_rms_error) : "0");
    all.tensor_count += f.tensor_count;
    all.value_count += f.value_count;
    all.bytes_before += f.bytes_before;
    all.bytes_after += f.bytes_after;
  }
  text += fmt::format("{:<8}  {:>8}  {:>12}  {:>12}  {:>12}\n", "all", all.tensor_count, all.value_count,
                      megabytes(all.bytes_before), megabytes(all.bytes_after));
  text += fmt::format(
      "\n{}: {} MB, {:.2f} bits per weight\n", moe::printable(out), megabytes(report.file_bytes_after),
      all.value_count > 0 ? 8.0 * static_cast<double>(all.bytes_after) / static_cast<double>(all.value_count) : 0.0);
  for (const std::string& note : report.notes) text += "note: " + moe::printable(note) + "\n";
  return text;
}

/// model.moepack beside model.gguf or the folder model.
std::string pack_beside(std::string model) {
  while (model.size() > 1 && model.ends_with('/')) model.pop_back();
  if (model.ends_with(".gguf")) model.resize(model.size() - 5);
  return model + ".moepack";
}

/// With a progress line for large models only.
std::function<void(moe::Progress)> late_progress(cli::ProgressLine& line) {
  return [&line, start = std::chrono::steady_clock::now()](moe::Progress p) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(2)) line.update(p);
  };
}

moe::Result<void> pack(const std::string& in, const std::string& named, const moe::ParallelFor& threads) {
  const std::string out = named.empty() ? pack_beside(in) : named;
  const auto report = [&] {
    cli::ProgressLine line("packing");
    return moe::write_pack(in, out,
                           {.threads = threads,
                            .on_progress = late_progress(line),
                            .cancelled = cli::interrupted,
                            .content_hash = moe::sha256});
  }();
  if (!report) return moe::forward(report);
  std::string text = fmt::format("{}: {} MB, {} matrices, {} of them of {} routed experts\n", moe::printable(out),
                                 megabytes(report->file_bytes), report->matrix_count, report->expert_matrix_count,
                                 report->expert_count);
  for (const std::string& note : report->notes) text += "note: " + moe::printable(note) + "\n";
  return cli::print(text);
}

}  // namespace

int main(int argc, char** argv) {
  std::string in, out, type, head, embedding;
  moe::QuantizeOptions options;
  std::int32_t threads = 0;  // the bytes do not depend on it
  bool no_tokenizer = false, is_pack = false;
  CLI::App app("Writes a model as GGUF, its matrices in another weight format, or as a packed file.", "moe-quantize");
  app.footer(kFooter);
  cli::add_path(app, "IN", in, "a .gguf file, or a Hugging Face directory")->required();
  cli::add_path(app, "OUT", out, "the .gguf file to write; with --pack the .moepack file (beside IN)");
  CLI::Option* of_gguf[] = {
      app.add_option("--type", type, "format of the matrices: " + format_list() + " (q8_0; MXFP4 stays)"),
      app.add_option("--head", head, "format of the output head (of a tied embedding too); --type"),
      app.add_option("--embedding", embedding, "format of the token embedding; --type"),
      app.add_flag("--requantize", options.requantize,
                   "allow a source that is already quantised: the errors of both add up"),
      app.add_flag("--force", options.replace, "replace OUT if it exists"),
      app.add_flag("--no-tokenizer", no_tokenizer, "leave out the tokenizer of a directory")};
  CLI::Option* packs =
      app.add_flag("--pack", is_pack, "write IN as it is to a packed file, from which it loads faster");
  for (CLI::Option* option : of_gguf) packs->excludes(option);
  cli::add_threads(app, threads);
  return cli::run(app, argc, argv, [&]() -> moe::Result<void> {
    if (is_pack) {
      const auto started = cli::start_threads(threads);
      return started ? pack(in, out, *started) : moe::forward(started);
    }
    if (out.empty()) throw CLI::RequiredError("OUT");
    if (!type.empty()) options.type = format_named("--type", type);
    if (!head.empty()) options.head = format_named("--head", head);
    if (!embedding.empty()) options.embedding = format_named("--embedding", embedding);
    options.tokenizer = !no_tokenizer;
    const auto started = cli::start_threads(threads);
    if (!started) return moe::forward(started);
    options.threads = *started;
    options.cancelled = cli::interrupted;
    auto report = [&] {
      cli::ProgressLine line("quantising");
      options.on_progress = late_progress(line);
      return moe::quantize(in, out, options);
    }();
    if (!report) return moe::forward(report);
    return cli::print(table_of(out, *report));
  });
}
