// moe-run: continues a prompt, or writes down logits and routing of given token ids.

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "moe/generate.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/show.hpp"
#include "token_text.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/numbers.hpp"
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
  std::vector<std::string> stop;
  bool ignore_eos = false;
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

/// Prints a reply as it comes: text, or ids with --tokens.
class Output {
 public:
  explicit Output(bool raw_ids) : raw_ids_(raw_ids), terminal_(isatty(STDOUT_FILENO) == 1) {}
  Result<void> show(const moe::Piece& piece) {
    std::string out(raw_ids_ ? "" : piece.text);
    for (const TokenId id : piece.tokens) {
      const bool first = !std::exchange(any_, true);
      if (raw_ids_) out += (first ? "" : " ") + std::to_string(id);
    }
    return out.empty() ? Result<void>() : put(out);
  }
  Result<void> finish() { return any_ ? put("\n") : Result<void>(); }

 private:
  Result<void> put(const std::string& text) { return cli::print(terminal_ ? moe::printable_lines(text) : text); }
  bool raw_ids_, terminal_, any_ = false;
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

  Result<void> generate(std::int64_t new_tokens) {
    Output output(options_.raw_ids);
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
    moe::Generator generator(session_);
    auto reply = generator.generate(ids_, o);
    if (printing) note(output.finish());
    if (!reply) return moe::forward(reply);
    if (cli::interrupted())
      return moe::fail(ErrorCode::cancelled, "interrupted after " + std::to_string(reply->tokens.size()) + " tokens");
    prompt_seconds_ = reply->prompt_seconds, reply_seconds_ = reply->reply_seconds;
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
    // Logits of every token are wanted only for a file: then in pieces, 128 rows of a 150k vocabulary are 77 MB.
    const std::size_t piece = logits_ ? 128 : ids_.size();
    for (std::size_t at = 0; at < ids_.size() && (recording() || failed_); at += piece) {
      const auto part = std::span(ids_).subspan(at, std::min(piece, ids_.size() - at));
      const moe::BatchItem item{*sequence, part, logits_ ? moe::Logits::all : moe::Logits::last};
      auto out = session_.step(moe::Batch(&item, 1));
      if (!out) return moe::forward(out);
      for (std::int64_t r = 0; logits_ && r < out->row_count; ++r)
        if (!note(logits_->append(out->padded_row(r)))) logits_.reset();
      if (files_.routing) routing_.append(session_.routing());
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
  }

  const Options& options_;
  Files& files_;
  moe::Session& session_;
  std::vector<TokenId> ids_;
  std::size_t prompt_length_;
  double prompt_seconds_ = 0, reply_seconds_ = 0;
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
  return Run(options, files, **session, std::move(*ids)).run(new_tokens);
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
  cli::add_number(app, "--min-p", o.sampling.min_p, moe::Bounds<double>{0, 1},
                  "sample from tokens at least this many times as likely as the best one (0)");
  constexpr double kLargest = std::numeric_limits<double>::max();
  cli::add_number(app, "--repetition-penalty", o.sampling.repetition_penalty, moe::Bounds<double>{0, kLargest, true},
                  "divides the positive logits of tokens seen in prompt and reply, multiplies the others (1)");
  const moe::Bounds<double> any_number{-kLargest, kLargest};
  cli::add_number(app, "--frequency-penalty", o.sampling.frequency_penalty, any_number,
                  "taken off a token's logit for every time the reply holds it (0)")
      ->type_name("X");
  cli::add_number(app, "--presence-penalty", o.sampling.presence_penalty, any_number,
                  "taken off the logit of every token that the reply holds (0)")
      ->type_name("X");
  const auto add_bias = [&o, any_number](const std::string& text) {
    const std::size_t split = std::min(text.find('='), text.size());
    const auto token = cli::number_of("the token of --logit-bias", std::string_view(text).substr(0, split),
                                      moe::Bounds<TokenId>{0, std::numeric_limits<TokenId>::max()});
    const std::string_view bias = std::string_view(text).substr(std::min(split + 1, text.size()));
    o.sampling.logit_bias.push_back({token, cli::number_of("the bias of --logit-bias", bias, any_number)});
  };
  app.add_option_function<std::vector<std::string>>(
         "--logit-bias",
         [add_bias](const std::vector<std::string>& all) {
           for (const auto& b : all) add_bias(b);
         },
         "added to the logit of a token, \"15043=-1.5\"; repeatable")
      ->type_name("ID=X")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--stop", o.stop, "text that ends the reply; repeatable")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--ignore-eos", o.ignore_eos, "end tokens of the model do not end the reply");
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
