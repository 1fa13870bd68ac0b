// moe-run: continues a prompt, chats, or writes logits and routing of given token ids.

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "moe/generate.hpp"
#include "support/show.hpp"
#include "tools/chat/chat.hpp"
#include "tools/chat/chat_options.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"
#include "tools/common/token_ids.hpp"
#include "tools/draft_options.hpp"
#include "tools/prompt_run.hpp"
#include "tools/sampling_options.hpp"

namespace {

using moe::ErrorCode;
using moe::Result;
using moe::TokenId;
using prompt_run::Files;
using prompt_run::Options;
using prompt_run::Run;

/// Inputs from the command line and files, read before the model is loaded.
struct Input {
  std::vector<TokenId> ids;  // of --tokens
  moe::Chat chat;            // messages of --messages; options of both kinds of chat
};

Result<Input> read_input(const Options& options) {
  Input input;
  if (options.raw_ids) input.ids = cli::option_ids(options.tokens);
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

Result<std::vector<TokenId>> prompt_ids(const Options& options, const Input& input, const moe::Model& model) {
  if (options.raw_ids) return input.ids;
  if (!options.is_chat()) return cli::text_ids(options.prompt, model);
  if (auto ok = cli::check_tokenizer(model); !ok) return moe::forward(ok);
  auto rendered = moe::encode_chat(model, input.chat);
  if (!rendered) return moe::forward(rendered);
  return std::move(rendered->ids);
}

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
  program.generate.draft = options.draft.options;
  moe::Generator generator(session);
  if (auto ok = cli::use_draft(options.draft, generator); !ok) return ok;
  return cli::run_chat(generator, program);
}

// The prompt is not encoded yet: it has no more tokens than bytes, and a BOS. Conversations may fill the context.
moe::MemoryRequest memory_request(const Options& options, const moe::ParallelFor& threads) {
  moe::MemoryRequest request;
  request.limit = options.memory;
  request.session.kv = options.kv;
  request.session.threads = threads;
  request.mtp = options.draft.is_mtp();
  const auto info = moe::Model::inspect(options.model);
  if (info && !options.logits.empty())
    request.reserved_bytes +=
        prompt_run::kLogitRows * static_cast<std::int64_t>(sizeof(float)) * info->config.vocab_size;
  if (options.is_chat() || !info) return request;  // fit_memory() says what is wrong with the model
  const std::int64_t context = info->config.max_position,
                     prompt = static_cast<std::int64_t>(options.prompt.size() + options.tokens.size()) + 1;
  request.session.max_tokens = std::min(context, prompt + std::min(context, options.most_tokens()));
  if (!options.routing.empty())
    request.reserved_bytes += cli::RoutingLog::most_bytes(info->config, request.session.max_tokens);
  return request;
}

// A draft's model is in memory whole, with a session like the model's own.
Result<std::optional<moe::MemoryPlan>> fit(const Options& options, const moe::ParallelFor& threads,
                                           moe::LoadOptions& load) {
  moe::MemoryRequest request = memory_request(options, threads);
  if (options.draft.is_model()) {
    moe::MemoryRequest of_draft = request;
    of_draft.reserved_bytes = 0;
    const auto draft = cli::plan_whole(options.draft.source, of_draft);
    if (!draft) return moe::fail(draft.error().code, "--draft: " + draft.error().message);
    request.reserved_bytes += draft->plan.bytes_beside_another();
  }
  return cli::fit_memory("moe-run", options.model, request, options.pack, load);
}

Result<void> run(Options& options) {
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
  moe::LoadOptions load{.threads = *threads,
                        .on_progress = [&](moe::Progress p) { line.update(p); },
                        .cancelled = cli::interrupted,
                        .tokenizer = moe::TokenizerUse::optional};  // for --tokens
  const moe::LoadOptions draft_load = load;                         // in memory, without a packed file
  load.mtp = options.draft.is_mtp();
  const auto memory = fit(options, *threads, load);
  if (!memory) return moe::forward(memory);
  auto model = moe::Model::load(options.model, load);
  const auto draft = model ? cli::load_draft(options.draft, draft_load) : Result<void>();
  line.clear();
  if (!model) return moe::forward(model);
  if (!draft) return draft;
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
  const auto new_tokens = cli::reply_length(prompt.size(), options.most_tokens(), config);
  if (!new_tokens) return moe::forward(new_tokens);

  moe::SessionOptions session_options;
  session_options.precision = options.precision;
  session_options.kv = options.kv;
  session_options.max_tokens = options.chat.chat ? 0 : static_cast<std::int64_t>(prompt.size()) + *new_tokens;
  session_options.threads = *threads;
  if (*memory) session_options.chunk_tokens = (*memory)->chunk_tokens;
  session_options.record_routing = !options.routing.empty();
  session_options.record_states = options.draft.is_mtp();
  session_options.cancelled = cli::interrupted;
  auto session = moe::Session::create(*model, session_options);
  if (!session) return moe::forward(session);
  if (options.chat.chat) return converse(options, input->chat.options, **session);
  return Run(options, files, **session, std::move(prompt)).run(*new_tokens);
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
  cli::add_draft_options(app, o.draft);
  cli::add_path(app, "--logits", o.logits,
                "write float32 [T, V] as .npy: a row per prompt token, then per generated token");
  cli::add_path(app, "--routing", o.routing, "write the chosen experts and their weights as JSON");
  app.add_option("--precision", precision, "auto or reference (float32 activations)")
      ->check(CLI::IsMember({"auto", "reference"}));
  cli::add_kv(app, kv);
  cli::add_threads(app, o.threads);
  cli::add_pack_cache(app, o.pack);
  cli::add_memory(app, o.memory);
  app.final_callback([&] { check_sources(o, prompt->count() + tokens->count()); });
  app.footer(
      "Examples:\n"
      "  moe-run --model model.gguf --prompt 'Once upon a time' -n 64 --temp 0.8 --seed 7\n"
      "  moe-run --model model.gguf --prompt 'Once upon a time' --draft ngram\n"
      "  moe-run --model DeepSeek-V3 --prompt 'Once upon a time' --draft mtp\n"
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
