// moe-stages: runs one model whose layers are divided among the processes of mpirun.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>

#include "moe/generate.hpp"
#include "moe/stages.hpp"
#include "mpi/mpi_transport.hpp"
#include "support/number.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/common/stage_options.hpp"
#include "tools/common/threads.hpp"

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
  std::int64_t new_tokens = 32, chunk_tokens = 512, max_tokens = 0;
  std::int32_t threads = 0;
  double wait_seconds = 30.0;
  moe::KvType kv = moe::KvType::f16;
};

Result<std::vector<TokenId>> prompt_ids(const Options& options, const moe::Model& model) {
  if (!options.tokens.empty()) {
    std::vector<TokenId> ids;
    for (const std::string& word : CLI::detail::split(options.tokens, ' ')) {
      if (word.empty()) continue;
      const auto id = moe::parse_number<TokenId>("--tokens", word, {0, std::numeric_limits<TokenId>::max()});
      if (!id) return moe::forward(id);
      ids.push_back(*id);
    }
    return ids;
  }
  if (!model.tokenizer()) return moe::fail(moe::ErrorCode::unsupported, model.tokenizer_error());
  return model.tokenizer()->encode(options.prompt);
}

/// [T, V] of the prompt.
Result<void> write_logits(const Options& options, moe::Session& session, const std::vector<TokenId>& ids) {
  if (auto ok = moe::check_not_of_model(options.logits, options.model); !ok) return ok;
  auto opened = moe::OutputFile::create(options.logits, {.cancelled = cli::interrupted});
  if (!opened) return moe::forward(opened);
  auto file = cli::NpyFile::create(std::move(*opened), session.model().config().vocab_size);
  if (!file) return moe::forward(file);
  const auto sequence = session.open();
  if (!sequence) return moe::forward(sequence);
  constexpr std::size_t kPiece = 128;  // rows of a vocabulary of 150k are 77 MB
  for (std::size_t at = 0; at < ids.size(); at += kPiece) {
    const auto part = std::span(ids).subspan(at, std::min(kPiece, ids.size() - at));
    const auto out = session.step(*sequence, part, moe::Logits::all);
    if (!out) return moe::forward(out);
    for (std::int64_t r = 0; r < out->row_count; ++r)
      if (auto ok = file->append(out->padded_row(r)); !ok) return ok;
  }
  if (auto ok = session.close(*sequence); !ok) return ok;
  return file->finish();
}

/// Stage 0: the canary, the logits, then the reply.
Result<void> lead(const Options& options, const std::shared_ptr<const moe::Model>& model,
                  const moe::SessionOptions& session_options) {
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
  const auto ids = prompt_ids(options, *model);
  if (!ids) return moe::forward(ids);
  if (!options.logits.empty())
    if (auto ok = write_logits(options, **session, *ids); !ok) return ok;
  if (options.new_tokens == 0) return {};
  moe::GenerateOptions generate;
  generate.max_tokens = options.new_tokens;
  generate.cancelled = cli::interrupted;
  const bool raw = !options.tokens.empty();
  if (raw) generate.end_tokens = moe::EndTokens::ignore, generate.candidates = moe::Candidates::all_rows;
  moe::Generator generator(**session);
  const auto reply = generator.generate(*ids, generate);
  if (!reply) return moe::forward(reply);
  std::string out;
  for (const TokenId id : reply->tokens)
    out += raw ? (out.empty() ? "" : " ") + std::to_string(id) : model->tokenizer()->bytes_of(id);
  cli::complain("moe-stages", fmt::format("{} prompt tokens in {:.3f} s, {} new ones in {:.3f} s", ids->size(),
                                          reply->prompt_seconds, reply->tokens.size(), reply->reply_seconds));
  return cli::print(out + "\n");
}

Result<void> run_stage(const Options& options, const std::shared_ptr<moe::MpiTransport>& transport) {
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
  return transport->rank() == 0 ? lead(options, *model, session) : moe::serve_stage(*model, session);
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
  app.add_option("--tokens", options.tokens, "token ids instead of text, \"1 2 3\"; ids are printed")->excludes(prompt);
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
  return cli::run(app, argc, argv, [&] {
    options.kv = cli::kv_of(kv, moe::Precision::automatic);
    return run(options);
  });
}
