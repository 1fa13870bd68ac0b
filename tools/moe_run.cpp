// moe-run: continues a prompt, or writes down logits and routing of given token ids.

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "moe/sampling.hpp"
#include "moe/session.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/show.hpp"
#include "token_text.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

using moe::ErrorCode;
using moe::Result;
using moe::TokenId;

struct Options {
  std::string model, prompt, tokens, logits, routing;
  std::int64_t new_tokens = -1;  // -1: 128, or 0 with --logits or --routing
  moe::SamplingConfig sampling;
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
  std::int32_t threads = 0;
  bool raw_ids = false;  // --tokens: ids in, ids out
};

/// Routing of every token that ran, layer by layer, in the form of the reference files.
class RoutingLog {
 public:
  void append(const std::vector<std::vector<moe::TokenRouting>>& step) {
    for (std::size_t layer = 0; layer < step.size(); ++layer) {
      for (const moe::TokenRouting& token : step[layer]) {
        // Files list experts by rising index, whatever their rank.
        std::vector<std::size_t> order(token.experts.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return token.experts[a] < token.experts[b]; });
        nlohmann::json experts = nlohmann::json::array(), weights = nlohmann::json::array();
        for (const std::size_t i : order) {
          experts.push_back(token.experts[i]);
          weights.push_back(token.weights[i]);
        }
        auto& entry = layers_[layer];
        entry["experts"].push_back(std::move(experts));
        entry["weights"].push_back(std::move(weights));
      }
    }
  }
  Result<void> write(moe::OutputFile& file, const std::vector<TokenId>& ids, std::size_t prompt_length) const {
    nlohmann::json routing = nlohmann::json::object();
    for (const auto& [layer, entry] : layers_) routing[std::to_string(layer)] = entry;
    const nlohmann::json all = {
        {"ids", std::vector<TokenId>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(prompt_length))},
        {"generated", std::vector<TokenId>(ids.begin() + static_cast<std::ptrdiff_t>(prompt_length), ids.end())},
        {"routing", routing}};
    if (auto ok = file.write(moe::json_text(all) + "\n"); !ok) return ok;
    return file.finish();
  }

 private:
  std::map<std::size_t, nlohmann::json> layers_;
};

/// Prints tokens as they come: text, or ids with --tokens.
class Output {
 public:
  Output(const moe::Tokenizer* tokenizer, bool raw_ids)
      : tokenizer_(tokenizer), raw_ids_(raw_ids), terminal_(isatty(STDOUT_FILENO) == 1) {}
  Result<void> show(TokenId id) {
    const bool first = !std::exchange(any_, true);
    if (raw_ids_) return put((first ? "" : " ") + std::to_string(id));
    auto bytes = tokenizer_->decode_more({id}, /*skip_special=*/true);
    if (!bytes) return moe::forward(bytes);
    return put(stream_.push(*bytes));
  }
  Result<void> finish() { return put(stream_.finish() + (any_ ? "\n" : "")); }

 private:
  Result<void> put(const std::string& text) { return cli::print(terminal_ ? moe::printable_lines(text) : text); }
  const moe::Tokenizer* tokenizer_;
  bool raw_ids_, terminal_, any_ = false;
  cli::Utf8Stream stream_;
};

Result<std::vector<TokenId>> prompt_ids(const Options& options, const moe::Model& model) {
  if (options.raw_ids) {
    auto ids = cli::parse_ids(options.tokens);
    if (!ids) throw CLI::ValidationError("--tokens", ids.error().message);
    if (ids->empty()) throw CLI::ValidationError("--tokens", "holds no token id");
    return ids;
  }
  if (!model.tokenizer())
    return moe::fail(ErrorCode::unsupported,
                     options.model + ": " + model.tokenizer_error() + "; --tokens works without a tokenizer");
  auto ids = model.tokenizer()->encode(options.prompt, /*add_special=*/true);
  if (!ids) return ids;
  const auto bos = model.tokenizer()->bos();
  if (model.tokenizer()->adds_bos() && ids->size() > 1 && (*ids)[1] == *bos)
    std::fprintf(stderr, "note: the prompt begins with %s, the BOS token that is added as well: there are two\n",
                 moe::printable(model.tokenizer()->bytes_of(*bos)).c_str());
  if (ids->empty()) {  // an empty prompt starts where a document does
    const auto start = model.tokenizer()->bos() ? model.tokenizer()->bos() : model.tokenizer()->eos();
    if (!start)
      return moe::fail(ErrorCode::bad_argument, "the prompt has no tokens, and the model has no BOS to start from");
    ids->push_back(*start);
  }
  return ids;
}

/// The files that are asked for, opened before there is any work that could be lost.
struct Files {
  std::optional<moe::OutputFile> logits, routing;

  Result<void> open(const Options& options) {
    for (const auto& [option, path, file] :
         {std::tuple{"--logits", &options.logits, &logits}, {"--routing", &options.routing, &routing}}) {
      if (path->empty()) continue;
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

/// One sequence from prompt to end; everything asked for is written when it has run.
class Generation {
 public:
  Generation(const Options& options, Files& files, moe::Session& session, std::vector<TokenId> prompt)
      : options_(options), files_(files), session_(session), ids_(std::move(prompt)), prompt_length_(ids_.size()) {}

  Result<void> run(std::int64_t new_tokens) {
    if (files_.logits) {
      auto file = cli::NpyFile::create(std::move(*files_.logits), session_.model().config().vocab_size);
      if (!file) return moe::forward(file);
      logits_.emplace(std::move(*file));
    }
    auto sequence = session_.open();
    if (!sequence) return moe::forward(sequence);
    sequence_ = *sequence;
    const auto start = Clock::now();
    if (auto ok = feed(ids_); !ok) return ok;
    const auto prompt_done = Clock::now();
    auto ok = generate(new_tokens);
    if (!ok) return ok;
    summarise(prompt_done - start, Clock::now() - prompt_done);
    if (logits_) note(logits_->finish());
    if (files_.routing) note(routing_.write(*files_.routing, ids_, prompt_length_));
    return failed_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool recording() const { return logits_.has_value() || files_.routing.has_value(); }

  /// An output that cannot be written does not cost the others; it is the program's error in the end.
  bool note(Result<void> written) {
    if (!written && failed_) failed_ = written;
    return written.has_value();
  }

  /// Appends tokens; next_row_ is the last one's logits afterwards.
  Result<void> feed(std::span<const TokenId> tokens) {
    // Logits of every token are wanted only for a file: then in pieces, 128 rows of a 150k vocabulary are 77 MB.
    const std::size_t piece = logits_ ? 128 : tokens.size();
    for (std::size_t at = 0; at < tokens.size(); at += piece) {
      const auto part = tokens.subspan(at, std::min(piece, tokens.size() - at));
      const moe::BatchItem item{sequence_, part, logits_ ? moe::Logits::all : moe::Logits::last};
      auto out = session_.step(moe::Batch(&item, 1));
      if (!out) return moe::forward(out);
      if (logits_)
        for (std::int64_t r = 0; r < out->row_count; ++r)
          if (!note(logits_->append(out->padded_row(r)))) {
            logits_.reset();
            break;
          }
      if (files_.routing) routing_.append(session_.routing());
      // Ids in, ids out: then every row of the model is an id, as in reference data.
      const std::int64_t r = out->row_count - 1;
      const auto last = options_.raw_ids ? out->padded_row(r) : out->row(r);
      next_row_.assign(last.begin(), last.end());
    }
    return {};
  }

  Result<void> generate(std::int64_t new_tokens) {
    auto sampler = moe::Sampler::make(options_.sampling);
    if (!sampler) return moe::forward(sampler);
    const moe::Tokenizer* tokenizer = session_.model().tokenizer().get();
    Output output(tokenizer, options_.raw_ids);
    bool printing = true;
    for (std::int64_t i = 0; i < new_tokens; ++i) {
      if (cli::interrupted()) {
        note(output.finish());
        return moe::fail(ErrorCode::cancelled, "interrupted after " + std::to_string(i) + " tokens");
      }
      auto next = sampler->next(next_row_);
      if (!next) return moe::forward(next);
      if (!options_.raw_ids && tokenizer->is_stop(*next)) break;
      ids_.push_back(*next);
      printing = printing && note(output.show(*next));
      if (!printing && !recording()) return failed_;
      if (i + 1 == new_tokens && !recording()) break;  // nobody asks what would follow
      if (auto ok = feed(std::span(&ids_.back(), 1)); !ok) {
        note(output.finish());
        return ok;
      }
    }
    if (printing) note(output.finish());
    return {};
  }

  void summarise(Clock::duration prompt_time, Clock::duration generate_time) const {
    const auto part = [](const char* what, std::size_t tokens, Clock::duration time) {
      const double s = std::chrono::duration<double>(time).count();
      std::fprintf(stderr, "%s %zu tokens, %.2f s, %.1f tokens/s", what, tokens, s,
                   s > 0.0 ? static_cast<double>(tokens) / s : 0.0);
    };
    part("prompt", prompt_length_, prompt_time);
    if (ids_.size() > prompt_length_) part("; generated", ids_.size() - prompt_length_, generate_time);
    std::fputc('\n', stderr);
  }

  const Options& options_;
  Files& files_;
  moe::Session& session_;
  std::vector<TokenId> ids_;
  std::size_t prompt_length_;
  moe::Sequence sequence_ = 0;
  std::vector<float> next_row_;
  std::optional<cli::NpyFile> logits_;
  RoutingLog routing_;
  Result<void> failed_;
};

Result<void> run(const Options& options) {
  if (auto sampler = moe::Sampler::make(options.sampling); !sampler)
    throw CLI::ValidationError("sampling", sampler.error().message);
  if (options.raw_ids)
    if (auto ids = cli::parse_ids(options.tokens); !ids) throw CLI::ValidationError("--tokens", ids.error().message);

  Files files;
  if (auto ok = files.open(options); !ok) return ok;
  const auto threads = cli::start_threads(options.threads);
  if (!threads) return moe::forward(threads);

  cli::ProgressLine line("loading");
  auto model = moe::Model::load(options.model, {.threads = *threads,
                                                .on_progress = [&](moe::Progress p) { line.update(p); },
                                                .cancelled = cli::interrupted,
                                                .tokenizer = moe::TokenizerUse::optional});  // for --tokens
  line.clear();
  if (!model) return moe::forward(model);
  for (const std::string& note : (*model)->info().notes) cli::complain("moe-run", "note: " + note);
  const moe::ModelConfig& config = (*model)->config();

  auto ids = prompt_ids(options, **model);
  if (!ids) return moe::forward(ids);
  const auto length = static_cast<std::int64_t>(ids->size());
  if (length > config.max_position)
    return moe::fail(ErrorCode::bad_argument, "the prompt has " + std::to_string(length) +
                                                  " tokens, expected at most " + std::to_string(config.max_position) +
                                                  " (the model's context)");
  std::int64_t new_tokens = options.new_tokens;
  if (new_tokens < 0) new_tokens = options.logits.empty() && options.routing.empty() ? 128 : 0;
  new_tokens = std::min(new_tokens, config.max_position - length);

  moe::SessionOptions session_options;
  session_options.precision = options.precision;
  session_options.kv = options.kv;
  session_options.max_tokens = length + new_tokens;
  session_options.threads = *threads;
  session_options.record_routing = !options.routing.empty();
  session_options.cancelled = cli::interrupted;
  auto session = moe::Session::create(*model, session_options);
  if (!session) return moe::forward(session);
  return Generation(options, files, **session, std::move(*ids)).run(new_tokens);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  std::string precision = "auto", kv;
  CLI::App app("Continues a prompt with a model, or writes logits and routing of token ids.", "moe-run");
  app.add_option("--model", o.model, "a .gguf file, a directory with one, or a Hugging Face directory")->required();
  auto* prompt = app.add_option("--prompt", o.prompt, "text to continue");
  auto* tokens = app.add_option("--tokens", o.tokens,
                                "token ids instead of text, \"1 2 3\"; ids are printed, and end tokens do not stop");
  prompt->excludes(tokens);
  constexpr moe::Bounds<std::int64_t> kCount{0, std::numeric_limits<std::int64_t>::max()};
  cli::add_number(app, "-n", o.new_tokens, kCount, "tokens to generate (128; 0 with --logits or --routing)");
  cli::add_number(app, "--temp", o.sampling.temperature, moe::Bounds<double>{0, std::numeric_limits<double>::max()},
                  "temperature; 0 takes the best token (0)");
  cli::add_number(app, "--top-k", o.sampling.top_k, kCount, "sample from the k best tokens; 0 = all (0)");
  cli::add_number(app, "--top-p", o.sampling.top_p, moe::Bounds<double>{0, 1, true},
                  "sample from the best tokens that hold this share (1)");
  cli::add_number(app, "--seed", o.sampling.seed,
                  moe::Bounds<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()},
                  "of the random numbers (0)");
  app.add_option("--logits", o.logits,
                 "write float32 [T, V] as .npy: a row per prompt token, then per generated token");
  app.add_option("--routing", o.routing, "write the chosen experts and their weights as JSON");
  app.add_option("--precision", precision, "auto or reference (float32 activations)")
      ->check(CLI::IsMember({"auto", "reference"}));
  app.add_option("--kv", kv, "type of the cache: f32, f16, bf16 (f16; f32 with --precision reference)")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  cli::add_threads(app, o.threads);
  app.final_callback([&] {
    if (prompt->count() + tokens->count() == 0) throw CLI::RequiredError("--prompt or --tokens");
  });
  return cli::run(app, argc, argv, [&]() -> Result<void> {
    o.raw_ids = tokens->count() > 0;
    if (precision == "reference") o.precision = moe::Precision::reference;
    // Float32 is what reference figures were computed with; float16 halves what decoding reads.
    if (kv.empty()) kv = precision == "reference" ? "f32" : "f16";
    o.kv = kv == "f32" ? moe::KvType::f32 : kv == "bf16" ? moe::KvType::bf16 : moe::KvType::f16;
    return run(o);
  });
}
