// moe-stages: runs one model whose layers are divided among the processes of mpirun.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>

#include "moe/generate.hpp"
#include "moe/stages.hpp"
#include "mpi/mpi_transport.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/common/reply_output.hpp"
#include "tools/common/stage_options.hpp"
#include "tools/common/threads.hpp"
#include "tools/common/token_ids.hpp"

namespace {

using moe::Result;
using moe::TokenId;

constexpr char kExamples[] =
    "\n"
    "Each process loads its own layers, about the same number of bytes, and reads the whole model once, to compare its "
    "bytes. Process 0 reads the prompt and prints; the reply is that of moe-run, to the bit.\n"
    R"(
Examples:
  mpirun -n 3 moe-stages --model model.gguf --prompt 'Once upon a time' -n 64
  mpirun --host a,b,c moe-stages --model model.gguf --tokens '1 2 3' -n 8 --canary 5f0c3a9e11d2b874

Exit status: 0 done, 1 bad input or a stage is gone, 2 wrong usage, 3 internal or out of memory, 130 interrupted.)";

struct Options {
  std::string model, prompt, tokens, canary, logits;
  std::vector<TokenId> ids;  // of --tokens: ids in, ids out; none: --prompt
  std::int64_t new_tokens = 32, chunk_tokens = 512, max_tokens = 0;
  std::int32_t threads = 0;
  double wait_seconds = 30.0;
  moe::KvType kv = moe::KvType::f16;
};

/// Opens the file of --logits, before any work could be lost.
Result<void> open_logits(const Options& options, std::optional<moe::OutputFile>& file) {
  if (options.logits.empty()) return {};
  if (auto ok = moe::check_not_of_model(options.logits, options.model); !ok) return ok;
  auto opened = moe::OutputFile::create(options.logits, {.cancelled = cli::interrupted});
  if (!opened) return moe::forward(opened);
  if (opened->is_standard_output() && options.new_tokens > 0)
    throw CLI::ValidationError("--logits", "is standard output, where the generated text goes: expected -n 0");
  file.emplace(std::move(*opened));
  return {};
}

/// Runs the prompt; the file of --logits gets its logits, [T, V].
Result<void> run_prompt(moe::Session& session, const std::vector<TokenId>& ids,
                        std::optional<moe::OutputFile>& logits) {
  std::optional<cli::NpyFile> file;
  if (logits) {
    auto created = cli::NpyFile::create(std::move(*logits), session.model().config().vocab_size);
    if (!created) return moe::forward(created);
    file.emplace(std::move(*created));
  }
  const auto sequence = session.open();
  if (!sequence) return moe::forward(sequence);
  const std::size_t piece = file ? 128 : ids.size();  // 128 rows of a vocabulary of 150k are 77 MB
  for (std::size_t at = 0; at < ids.size(); at += piece) {
    const auto part = std::span(ids).subspan(at, std::min(piece, ids.size() - at));
    const auto out = session.step(*sequence, part, file ? moe::Logits::all : moe::Logits::last);
    if (!out) return moe::forward(out);
    for (std::int64_t r = 0; file && r < out->row_count; ++r)
      if (auto ok = file->append(out->padded_row(r)); !ok) return ok;
  }
  if (auto ok = session.close(*sequence); !ok) return ok;
  return file ? file->finish() : Result<void>();
}

/// Prints the reply while it is written.
Result<void> reply(const Options& options, moe::Session& session, const std::vector<TokenId>& ids,
                   std::int64_t new_tokens) {
  const bool raw_ids = !options.ids.empty();
  cli::ReplyOutput output(raw_ids);
  Result<void> printed;
  moe::GenerateOptions generate;
  generate.max_tokens = new_tokens;
  if (raw_ids) generate.end_tokens = moe::EndTokens::ignore, generate.candidates = moe::Candidates::all_rows;
  generate.on_piece = [&](const moe::Piece& piece) {
    if (printed) printed = output.show(piece);
  };
  generate.cancelled = [&] { return cli::interrupted() || !printed; };
  moe::Generator generator(session);
  const auto done = generator.generate(ids, generate);
  if (printed) printed = output.finish();
  if (!done) return moe::forward(done);
  if (!printed) return printed;
  cli::complain("moe-stages", fmt::format("{} prompt tokens in {:.3f} s, {} new ones in {:.3f} s", ids.size(),
                                          done->prompt_seconds, done->tokens.size(), done->reply_seconds));
  return {};
}

/// Stage 0: the canary, the prompt, then the reply.
Result<void> lead(const Options& options, const std::shared_ptr<const moe::Model>& model,
                  const moe::SessionOptions& session_options, std::optional<moe::OutputFile>& logits) {
  auto session = moe::Session::create(model, session_options);
  if (!session) return moe::forward(session);
  const auto sign = moe::canary(**session);
  if (!sign) return moe::forward(sign);
  const std::string found = fmt::format("{:016x}", *sign);
  cli::complain("moe-stages", fmt::format("{} stages, canary {}", session_options.stages->size(), found));
  if (!options.canary.empty() && options.canary != found)
    return moe::fail(moe::ErrorCode::bad_config,
                     fmt::format("the canary is {}, expected {}: other weights, or a machine that computes wrongly",
                                 found, options.canary));
  const auto ids = options.ids.empty() ? cli::text_ids(options.prompt, *model) : options.ids;
  if (!ids) return moe::forward(ids);
  const auto new_tokens = cli::reply_length(ids->size(), options.new_tokens, model->config());
  if (!new_tokens) return moe::forward(new_tokens);
  if (logits || *new_tokens == 0)
    if (auto ok = run_prompt(**session, *ids, logits); !ok) return ok;
  return *new_tokens > 0 ? reply(options, **session, *ids, *new_tokens) : Result<void>();
}

Result<void> run_stage(const Options& options, const std::shared_ptr<moe::MpiTransport>& transport) {
  std::optional<moe::OutputFile> logits;  // of stage 0
  if (transport->rank() == 0)
    if (auto ok = open_logits(options, logits); !ok) return ok;
  const auto stages = moe::Stages::join(transport, {.wait_seconds = options.wait_seconds});
  if (!stages) return moe::forward(stages);
  const auto info = moe::Model::inspect(options.model);
  if (!info) return moe::forward(info);
  const auto ranges = moe::divide_layers(*info, transport->size());
  if (!ranges) return moe::forward(ranges);
  const auto threads = cli::start_threads(options.threads);
  if (!threads) return moe::forward(threads);
  const auto model = moe::Model::load(options.model, {.threads = *threads,
                                                      .cancelled = cli::interrupted,
                                                      .tokenizer = moe::TokenizerUse::optional,
                                                      .layers = (*ranges)[static_cast<std::size_t>(transport->rank())],
                                                      .content_hash = moe::sha256});
  if (!model) return moe::forward(model);
  moe::SessionOptions session;
  session.kv = options.kv;
  session.threads = *threads;
  session.chunk_tokens = options.chunk_tokens;
  session.max_tokens = options.max_tokens;
  session.stages = *stages;
  session.cancelled = cli::interrupted;
  return transport->rank() == 0 ? lead(options, *model, session, logits) : moe::serve_stage(*model, session);
}

// An error of one stage ends all processes at once, so it is printed before.
Result<void> run(const Options& options) {
  auto transport = moe::MpiTransport::start();
  if (!transport) return moe::forward(transport);
  const auto& mpi = *transport;
  return cli::run_part(
      fmt::format("moe-stages, stage {} of {}", mpi->rank(), mpi->size()), [&] { return run_stage(options, mpi); },
      [&](int status) { mpi->fail(status); });
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string kv;
  CLI::App app("Runs a model whose layers are divided among the processes of mpirun.", "moe-stages");
  app.footer(kExamples);
  cli::add_path(app, "--model", options.model, "a .gguf file or a Hugging Face directory, the same for all")
      ->required();
  auto* prompt = app.add_option("--prompt", options.prompt, "text to continue");
  auto* tokens = app.add_option("--tokens", options.tokens,
                                "token ids instead of text, \"1 2 3\"; ids are printed, and end tokens do not stop");
  constexpr moe::Bounds<std::int64_t> kCount{0, 9999999};
  cli::add_number(app, "-n", options.new_tokens, kCount, "tokens to generate (32)");
  cli::add_number(app, "--chunk", options.chunk_tokens, moe::Bounds<std::int64_t>{1, moe::kMaxChunkTokens},
                  "tokens that travel together (512)");
  cli::add_number(app, "--max-tokens", options.max_tokens, kCount, "room of the cache (the model's context)");
  cli::add_wait(app, options.wait_seconds);
  app.add_option("--canary", options.canary, "refuse to run unless the canary is this one");
  cli::add_path(app, "--logits", options.logits, "write float32 [T, V] of the prompt as .npy");
  cli::add_kv(app, kv);
  cli::add_threads(app, options.threads);
  app.final_callback([&] {
    const auto texts = prompt->count() + tokens->count();
    if (texts == 0) throw CLI::RequiredError("--prompt or --tokens");
    if (texts > 1) throw CLI::ValidationError("--prompt, --tokens", "expected one of them alone");
  });
  return cli::run(app, argc, argv, [&] {
    if (tokens->count() > 0) options.ids = cli::option_ids(options.tokens);
    options.kv = cli::kv_of(kv, moe::Precision::automatic);
    return run(options);
  });
}
