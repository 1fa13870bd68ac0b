// moe-run: continues a prompt, chats, or writes logits and routing of given token ids.

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "moe/generate.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "support/show.hpp"
#include "token_text.hpp"
#include "tools/chat/chat.hpp"
#include "tools/chat/chat_options.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/npy_file.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"
#include "tools/routing_log.hpp"
#include "tools/sampling_options.hpp"

namespace {

using moe::ErrorCode;
using moe::Result;
using moe::TokenId;

struct Options {
  std::string model, prompt, tokens, logits, routing;
  std::int64_t new_tokens = -1;  // -1: most_tokens() decides
  moe::SamplingConfig sampling;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
  std::int32_t threads = 0;
  bool raw_ids = false;  // --tokens: ids in, ids out
  cli::ChatArguments chat;

  bool is_chat() const { return chat.chat || !chat.messages.empty(); }
  bool is_recorded() const { return !logits.empty() || !routing.empty(); }
  // How many tokens a reply has at most, within the model's context.
  std::int64_t most_tokens() const {
    if (new_tokens >= 0) return new_tokens;
    return is_recorded() ? 0 : is_chat() ? std::numeric_limits<std::int64_t>::max() : 128;
  }
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

/// Inputs from the command line and files, read before the model is loaded.
struct Input {
  std::vector<TokenId> ids;  // of --tokens
  moe::Chat chat;            // messages of --messages; options of both kinds of chat
};

Result<Input> read_input(const Options& options) {
  Input input;
  if (options.raw_ids) {
    auto ids = cli::parse_ids(options.tokens);
    if (!ids) throw CLI::ValidationError("--tokens", ids.error().message);
    if (ids->empty()) throw CLI::ValidationError("--tokens", "holds no token id");
    input.ids = std::move(*ids);
  }
  if (!options.is_chat()) return input;
  auto chat = cli::chat_options(options.chat);
  if (!chat) return moe::forward(chat);
  input.chat.options = std::move(*chat);
  if (options.chat.chat) return input;
  auto messages = cli::read_messages(options.chat.messages);
  if (!messages) return moe::forward(messages);
  input.chat.messages = std::move(*messages);
  return input;
}

Result<std::vector<TokenId>> text_ids(const std::string& text, const moe::Tokenizer& tokenizer) {
  auto ids = tokenizer.encode(text, {.ends = moe::TextEnds::as_model});
  if (!ids) return ids;
  const auto bos = tokenizer.bos();
  if (tokenizer.adds_bos() && ids->size() > 1 && (*ids)[1] == *bos)
    std::fprintf(stderr, "note: the prompt begins with %s, the BOS token that is added as well: there are two\n",
                 moe::printable(tokenizer.bytes_of(*bos)).c_str());
  if (ids->empty()) {  // an empty prompt starts a document, with BOS
    const auto start = bos ? bos : tokenizer.eos();
    if (!start)
      return moe::fail(ErrorCode::bad_argument, "the prompt has no tokens, and the model has no BOS to start from");
    ids->push_back(*start);
  }
  return ids;
}

Result<std::vector<TokenId>> prompt_ids(const Options& options, const Input& input, const moe::Model& model) {
  if (options.raw_ids) return input.ids;
  if (!model.tokenizer())
    return moe::fail(ErrorCode::unsupported, model.tokenizer_error() + "; --tokens works without a tokenizer");
  if (!options.is_chat()) return text_ids(options.prompt, *model.tokenizer());
  auto rendered = moe::encode_chat(model, input.chat);
  if (!rendered) return moe::forward(rendered);
  return std::move(rendered->ids);
}

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
    if (files_.routing) note(routing_.write(*files_.routing, ids_, prompt_length_));
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
  cli::RoutingLog routing_;
  Result<void> failed_;
};

// The text of the ids, control tokens as they are spelled.
Result<void> show_prompt(const moe::Model& model, const std::vector<TokenId>& ids) {
  std::string text, line = std::to_string(ids.size()) + " tokens:";
  for (const TokenId id : ids) {
    text += model.tokenizer() ? model.tokenizer()->bytes_of(id) : std::string();
    line += " " + std::to_string(id);
  }
  std::fprintf(stderr, "%s\n", line.c_str());
  return cli::print(isatty(STDOUT_FILENO) == 1 ? moe::printable_lines(text) + "\n" : text);
}

Result<void> converse(const Options& options, const moe::ChatOptions& chat, moe::Session& session) {
  cli::ChatProgram program{options.model, options.chat.system, options.chat.show_prompt, chat, {}};
  program.generate.max_tokens = options.new_tokens < 0 ? 0 : options.new_tokens;
  program.generate.sampling = options.sampling;
  program.generate.stop = options.stop;
  if (options.ignore_eos) program.generate.end_tokens = moe::EndTokens::ignore;
  moe::Generator generator(session);
  return cli::run_chat(generator, program);
}

Result<void> run(const Options& options) {
  if (auto sampler = moe::Sampler::create(options.sampling); !sampler)
    throw CLI::ValidationError("sampling", sampler.error().message);
  if (options.chat.chat && options.new_tokens == 0)
    throw CLI::ValidationError("-n", "is 0, expected at least 1 with --chat");
  const auto input = read_input(options);
  if (!input) return moe::forward(input);
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

  if (options.chat.chat && !(*model)->tokenizer())
    return moe::fail(ErrorCode::unsupported, options.model + ": " + (*model)->tokenizer_error());
  std::vector<TokenId> prompt;
  if (!options.chat.chat) {
    auto ids = prompt_ids(options, *input, **model);
    if (!ids) return moe::forward(ids);
    prompt = std::move(*ids);
    if (options.chat.show_prompt) return show_prompt(**model, prompt);
  }
  const auto length = static_cast<std::int64_t>(prompt.size());
  if (length > config.max_position)
    return moe::fail(ErrorCode::bad_argument, "the prompt has " + std::to_string(length) +
                                                  " tokens, expected at most " + std::to_string(config.max_position) +
                                                  " (the model's context)");
  const std::int64_t new_tokens = std::min(options.most_tokens(), config.max_position - length);

  moe::SessionOptions session_options;
  session_options.precision = options.precision;
  session_options.kv = options.kv;
  session_options.max_tokens = options.chat.chat ? 0 : length + new_tokens;
  session_options.threads = *threads;
  session_options.record_routing = !options.routing.empty();
  session_options.cancelled = cli::interrupted;
  auto session = moe::Session::create(*model, session_options);
  if (!session) return moe::forward(session);
  if (options.chat.chat) return converse(options, input->chat.options, **session);
  return Run(options, files, **session, std::move(prompt)).run(new_tokens);
}

/// What contradicts each other, or would be ignored. `texts`: how many of --prompt and --tokens are there.
void check_sources(const Options& o, std::size_t texts) {
  const auto sources = texts + (o.chat.chat ? 1u : 0u) + (o.chat.messages.empty() ? 0u : 1u);
  if (sources == 0) throw CLI::RequiredError("--prompt, --tokens, --chat or --messages");
  if (sources > 1) throw CLI::ValidationError("--prompt, --tokens, --chat, --messages", "expected one of them alone");
  if (o.chat.chat && o.is_recorded())
    throw CLI::ValidationError("--chat", "writes no --logits and no --routing: expected --messages");
  if (o.chat.show_prompt && o.is_recorded())
    throw CLI::ValidationError("--show-prompt", "runs no model: there are no --logits and no --routing");
  if (!o.chat.system.empty() && !o.chat.chat)
    throw CLI::ValidationError("--system", "is for --chat; a file of --messages has its own");
  for (const auto& [option, value] : {std::pair{"--chat-template", &o.chat.chat_template},
                                      {"--chat-template-args", &o.chat.chat_template_args},
                                      {"--chat-date", &o.chat.chat_date}})
    if (!value->empty() && !o.is_chat()) throw CLI::ValidationError(option, "needs --chat or --messages");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  std::string precision = "auto", kv;
  CLI::App app("Continues a prompt with a model, or writes logits and routing of token ids.", "moe-run");
  cli::add_path(app, "--model", o.model, "a .gguf file, a directory with one, or a Hugging Face directory")->required();
  auto* prompt = app.add_option("--prompt", o.prompt, "text to continue");
  auto* tokens = app.add_option("--tokens", o.tokens,
                                "token ids instead of text, \"1 2 3\"; ids are printed, and end tokens do not stop");
  constexpr moe::Bounds<std::int64_t> kCount{0, std::numeric_limits<std::int64_t>::max()};
  cli::add_number(app, "-n", o.new_tokens, kCount,
                  "tokens to generate (128; to the end of the context with --chat and --messages; 0 with --logits or "
                  "--routing)");
  cli::add_chat_options(app, o.chat);
  cli::add_sampling_options(app, o.sampling);
  cli::add_end_options(app, o.stop, o.ignore_eos);
  cli::add_path(app, "--logits", o.logits,
                "write float32 [T, V] as .npy: a row per prompt token, then per generated token");
  cli::add_path(app, "--routing", o.routing, "write the chosen experts and their weights as JSON");
  app.add_option("--precision", precision, "auto or reference (float32 activations)")
      ->check(CLI::IsMember({"auto", "reference"}));
  cli::add_kv(app, kv);
  cli::add_threads(app, o.threads);
  app.final_callback([&] { check_sources(o, prompt->count() + tokens->count()); });
  app.footer(
      "Examples:\n"
      "  moe-run --model model.gguf --prompt 'Once upon a time' -n 64 --temp 0.8 --seed 7\n"
      "  moe-run --model model.gguf --chat --system 'You answer in one sentence.'\n"
      "  moe-run --model model.gguf --messages chat.json --show-prompt\n"
      "  moe-run --model model.gguf --tokens '1 2 3' -n 0 --logits logits.npy --routing -\n"
      "Exit status: 0 done, 1 bad input, 2 wrong usage, 3 internal or out of memory, 130 interrupted.");
  return cli::run(app, argc, argv, [&]() -> Result<void> {
    o.raw_ids = tokens->count() > 0;
    if (precision == "reference") o.precision = moe::Precision::reference;
    o.kv = cli::kv_of(kv, o.precision);
    return run(o);
  });
}
