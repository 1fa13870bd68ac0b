#pragma once
// moe-run's way from a prompt to a reply: its settings, its output files, and the run.

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "moe/generate.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "tools/chat/chat_options.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/program.hpp"
#include "tools/common/reply_output.hpp"
#include "tools/draft_options.hpp"
#include "tools/routing_log.hpp"

namespace prompt_run {

using moe::ErrorCode;
using moe::Result;
using moe::TokenId;

// Of --logits: in memory at a time, 77 MB of a vocabulary of 150,000.
inline constexpr std::int64_t kLogitRows = 128;

struct Options {
  std::string model, prompt, tokens, logits, routing;
  std::int64_t new_tokens = -1;  // -1: most_tokens() decides
  moe::SamplingConfig sampling;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
  std::int32_t threads = 0;
  cli::PackCache pack;
  std::int64_t memory = 0;
  bool raw_ids = false;  // --tokens: ids in, ids out
  cli::ChatArguments chat;
  cli::DraftArguments draft;

  bool is_chat() const { return chat.chat || !chat.messages.empty(); }
  bool is_recorded() const { return !logits.empty() || !routing.empty(); }
  // How many tokens a reply has at most, within the model's context.
  std::int64_t most_tokens() const {
    if (new_tokens >= 0) return new_tokens;
    return is_recorded() ? 0 : is_chat() ? std::numeric_limits<std::int64_t>::max() : 128;
  }
};

/// The requested output files, opened before any work could be lost.
struct Files {
  std::optional<moe::OutputFile> logits, routing;

  Result<void> open(const Options& options) {
    for (const auto& [option, path, file] :
         {std::tuple{"--logits", &options.logits, &logits}, {"--routing", &options.routing, &routing}}) {
      if (path->empty()) continue;
      if (auto ok = moe::check_not_of_model(*path, options.model); !ok)
        return moe::fail(ok.error().code, std::string(option) + ": " + ok.error().message);
      auto opened = moe::OutputFile::create(*path, {.cancelled = cli::interrupted});
      if (!opened) return moe::forward(opened);
      if (opened->is_standard_output() && options.new_tokens > 0)
        throw CLI::ValidationError(option, "is standard output, where the generated text goes: expected -n 0");
      file->emplace(std::move(*opened));
    }
    if (logits && routing && logits->is_same(*routing))
      throw CLI::ValidationError("--routing", "is the file of --logits: " + options.routing);
    return {};
  }
};

/// Prompt and reply; everything asked for is written when both have run.
class Run {
 public:
  Run(const Options& options, Files& files, moe::Session& session, std::vector<TokenId> prompt)
      : options_(options), files_(files), session_(session), ids_(std::move(prompt)), prompt_length_(ids_.size()) {}

  Result<void> run(std::int64_t new_tokens) {
    if (files_.logits) {
      auto file = cli::NpyFile::create(std::move(*files_.logits), session_.model().config().vocab_size);
      if (!file) return moe::forward(file);
      logits_.emplace(std::move(*file));
    }
    if (new_tokens > 0)
      if (auto ok = generate(new_tokens); !ok) return ok;
    if (recording() || new_tokens == 0)
      if (auto ok = record(); !ok) return ok;
    summarise();
    if (logits_) note(logits_->finish());
    if (routing_) note(routing_->write(*files_.routing, ids_, prompt_length_));
    return failed_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool recording() const { return logits_.has_value() || files_.routing.has_value(); }

  /// If an output cannot be written, the others still are; the program then ends with that error.
  bool note(Result<void> written) {
    if (!written && failed_) failed_ = written;
    return written.has_value();
  }

  Result<void> generate(std::int64_t new_tokens) {
    cli::ReplyOutput output(options_.raw_ids);
    bool printing = true;
    moe::GenerateOptions o;
    o.max_tokens = new_tokens;
    o.sampling = options_.sampling;
    o.stop = options_.stop;
    if (options_.raw_ids || options_.ignore_eos) o.end_tokens = moe::EndTokens::ignore;
    // Ids in, ids out: then every row of the model is an id, as in reference data.
    if (options_.raw_ids) o.candidates = moe::Candidates::all_rows;
    o.on_piece = [&](const moe::Piece& piece) { printing = printing && note(output.show(piece)); };
    o.cancelled = [&] { return cli::interrupted() || (!printing && !recording()); };
    o.draft = options_.draft.options;
    moe::Generator generator(session_);
    if (auto ok = cli::use_draft(options_.draft, generator); !ok) return ok;
    auto reply = generator.generate(ids_, o);
    if (printing) note(output.finish());
    if (!reply) return moe::forward(reply);
    if (cli::interrupted())
      return moe::fail(ErrorCode::cancelled, "interrupted after " + std::to_string(reply->tokens.size()) + " tokens");
    prompt_seconds_ = reply->prompt_seconds, reply_seconds_ = reply->reply_seconds;
    draft_ = reply->draft, flops_ = reply->flops;
    if (reply->end == moe::EndReason::end_token) reply->tokens.pop_back();
    ids_.insert(ids_.end(), reply->tokens.begin(), reply->tokens.end());
    return {};
  }

  /// Runs prompt and reply once more for the files: they want what the generator never looks at, the logits of every
  /// token and its experts. The same tokens have the same logits however they are batched.
  Result<void> record() {
    const auto start = Clock::now();
    auto sequence = session_.open();
    if (!sequence) return moe::forward(sequence);
    // For a file in pieces: a step's rows of logits and its routing are in memory at a time.
    if (files_.routing) routing_.emplace(session_.model().config(), ids_.size());
    const std::size_t piece = logits_    ? static_cast<std::size_t>(kLogitRows)
                              : routing_ ? static_cast<std::size_t>(cli::RoutingLog::kStepTokens)
                                         : ids_.size();
    for (std::size_t at = 0; at < ids_.size() && (recording() || failed_); at += piece) {
      const auto part = std::span(ids_).subspan(at, std::min(piece, ids_.size() - at));
      const moe::BatchItem item{*sequence, part, logits_ ? moe::Logits::all : moe::Logits::last};
      auto out = session_.step(moe::Batch(&item, 1));
      if (!out) return moe::forward(out);
      for (std::int64_t r = 0; logits_ && r < out->row_count; ++r)
        if (!note(logits_->append(out->padded_row(r)))) logits_.reset();
      if (routing_) routing_->append(session_.routing());
    }
    if (ids_.size() == prompt_length_) prompt_seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
    return {};
  }

  void summarise() const {
    const auto part = [](const char* what, std::size_t tokens, double s) {
      std::fprintf(stderr, "%s %zu tokens, %.2f s, %.1f tokens/s", what, tokens, s,
                   s > 0.0 ? static_cast<double>(tokens) / s : 0.0);
    };
    part("prompt", prompt_length_, prompt_seconds_);
    if (ids_.size() > prompt_length_) part("; generated", ids_.size() - prompt_length_, reply_seconds_);
    std::fputc('\n', stderr);
    const std::string experts = cli::traffic_in_words(session_.model().expert_traffic());
    if (!experts.empty()) std::fprintf(stderr, "%s\n", experts.c_str());
    if (options_.draft.source.empty()) return;
    // Exact, as in JSON of other programs.
    std::fprintf(stderr, "drafted %lld tokens, accepted %lld (%.1f %%); executed %lld FLOPs",
                 static_cast<long long>(draft_.drafted), static_cast<long long>(draft_.accepted),
                 100.0 * draft_.acceptance(), static_cast<long long>(flops_));
    if (options_.draft.model != nullptr || options_.draft.is_mtp())
      std::fprintf(stderr, ", the %s %lld of them", options_.draft.is_mtp() ? "MTP layer" : "draft model",
                   static_cast<long long>(draft_.flops));
    std::fputc('\n', stderr);
  }

  const Options& options_;
  Files& files_;
  moe::Session& session_;
  std::vector<TokenId> ids_;
  std::size_t prompt_length_;
  double prompt_seconds_ = 0, reply_seconds_ = 0;
  moe::DraftReport draft_;
  std::int64_t flops_ = 0;
  std::optional<cli::NpyFile> logits_;
  std::optional<cli::RoutingLog> routing_;
  Result<void> failed_;
};

}  // namespace prompt_run
