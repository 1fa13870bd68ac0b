// StoredModel: answers from the store where it has them, asks the model for the others, and stores those.

#include <fmt/format.h>

#include <algorithm>

#include "moe/eval/store.hpp"
#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string digest(const std::string& text) {
  const auto bytes = sha256(text);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// 128 of SHA-256's bits are enough for a key.
std::string key_of(const std::string& text) { return digest(text).substr(0, 16); }

// Fields with their lengths, so that the concatenation is unambiguous.
void append(std::string& text, std::string_view field) { text += fmt::format("{}:", field.size()).append(field); }

// Requests with the same context are adjacent, so it is hashed once.
class Contexts {
 public:
  const std::string& digest_of(std::string_view context) {
    if (!known_ || context != last_) digest_ = digest(std::string(context)), last_ = context, known_ = true;
    return digest_;
  }

 private:
  std::string_view last_;
  std::string digest_;
  bool known_ = false;
};

// Asks `model` for answers that the store does not have, and counts the others in `stored_answers`. `Ask` is
// (requests, hooks) -> Result<vector<Answer>>.
template <class Request, class Answer, class Find, class Keep, class Ask>
Result<std::vector<Answer>> ask(std::span<const Request> requests, const std::vector<std::string>& keys,
                                std::int64_t& stored_answers, const Hooks& hooks,
                                std::function<void(std::int64_t, const Answer&)> Hooks::*on_answer, Find&& find,
                                Keep&& keep, Ask&& ask_model) {
  std::vector<Answer> answers(requests.size());
  std::vector<Request> missing;
  std::vector<std::int64_t> index;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto known = find(keys[i]);
    if (!known) return forward(known);
    if (*known) {
      answers[i] = std::move(**known);
      ++stored_answers;
      if (hooks.*on_answer) (hooks.*on_answer)(static_cast<std::int64_t>(i), answers[i]);
    } else {
      missing.push_back(requests[i]);
      index.push_back(static_cast<std::int64_t>(i));
    }
  }
  if (missing.empty()) return answers;
  const auto known_count = static_cast<std::int64_t>(requests.size() - missing.size());
  std::vector<std::pair<std::string, Answer>> pending;
  Result<void> stored;
  const auto flush = [&] {
    if (stored && !pending.empty()) stored = keep(pending);
    pending.clear();
  };
  Hooks inner;
  inner.*on_answer = [&](std::int64_t i, const Answer& answer) {
    const std::int64_t outer = index[static_cast<std::size_t>(i)];
    // Failures are not stored: they are cheap to reproduce.
    if (answer.failure == Failure::none) pending.emplace_back(keys[static_cast<std::size_t>(outer)], answer);
    if (hooks.*on_answer) (hooks.*on_answer)(outer, answer);
  };
  inner.on_progress = [&](std::int64_t done, std::int64_t) {
    flush();
    if (hooks.on_progress) hooks.on_progress(known_count + done, static_cast<std::int64_t>(requests.size()));
  };
  inner.cancelled = [&] { return !stored || (hooks.cancelled && hooks.cancelled()); };
  auto fresh = ask_model(std::span<const Request>(missing), inner);
  flush();
  if (!stored) return forward(stored);
  if (!fresh) return fresh;
  for (std::size_t i = 0; i < fresh->size(); ++i) answers[static_cast<std::size_t>(index[i])] = std::move((*fresh)[i]);
  return answers;
}

}  // namespace

StoredModel::StoredModel(LanguageModel& model, RunStore& store, const StoreSetting& setting)
    : model_(model), store_(store) {
  std::string text;
  append(text, setting.model_hash);
  append(text, setting.formats);
  append(text, fmt::format("{} {} {} {} {} {}", setting.numerics_version, static_cast<int>(setting.precision),
                           static_cast<int>(setting.kv), setting.top_k, setting.max_length, setting.tokenizer));
  // Answers without a template keep the keys that they had before there were templates.
  if (!setting.chat.empty()) append(text, "chat " + setting.chat);
  if (!setting.experts.empty()) append(text, "experts " + setting.experts);
  if (!setting.model_hash.empty()) setting_ = digest(text);
}

// Without a hash the answers of all models would share their keys.
Result<void> StoredModel::check_setting() const {
  if (!setting_.empty()) return {};
  return fail(ErrorCode::bad_argument,
              "StoreSetting::model_hash is empty, expected Model::content_hash() (LoadOptions::content_hash fills it)");
}

Result<std::vector<Score>> StoredModel::score(std::span<const ScoreRequest> requests, const Hooks& hooks) {
  if (auto ok = check_setting(); !ok) return forward(ok);
  std::vector<std::string> keys;
  Contexts contexts;
  for (const ScoreRequest& r : requests) {
    std::string text = setting_ + "score" + contexts.digest_of(r.context);
    append(text, r.continuation);
    keys.push_back(key_of(text));
  }
  return ask<ScoreRequest, Score>(
      requests, keys, stored_answers_, hooks, &Hooks::on_score,
      [&](const std::string& key) { return store_.find_score(key); },
      [&](const std::vector<std::pair<std::string, Score>>& some) { return store_.add(some, {}); },
      [&](std::span<const ScoreRequest> some, const Hooks& inner) { return model_.score(some, inner); });
}

Result<std::vector<Generation>> StoredModel::generate(std::span<const GenerateRequest> requests, const Hooks& hooks) {
  if (auto ok = check_setting(); !ok) return forward(ok);
  std::vector<std::string> keys;
  Contexts contexts;
  for (const GenerateRequest& r : requests) {
    std::string text = setting_ + "reply" + contexts.digest_of(r.context);
    append(text, fmt::format("{}", r.max_tokens));
    for (const std::string& stop : r.stop) append(text, stop);
    if (!r.think_end.empty()) append(text.append("think"), r.think_end);
    keys.push_back(key_of(text));
  }
  return ask<GenerateRequest, Generation>(
      requests, keys, stored_answers_, hooks, &Hooks::on_reply,
      [&](const std::string& key) { return store_.find_reply(key); },
      [&](const std::vector<std::pair<std::string, Generation>>& some) { return store_.add({}, some); },
      [&](std::span<const GenerateRequest> some, const Hooks& inner) { return model_.generate(some, inner); });
}

Result<std::vector<Score>> StoredModel::score_texts(std::span<const TextRequest> requests, const Hooks& hooks) {
  if (auto ok = check_setting(); !ok) return forward(ok);
  std::vector<std::string> keys;
  for (const TextRequest& r : requests) keys.push_back(key_of(setting_ + "text" + digest(std::string(r.text))));
  return ask<TextRequest, Score>(
      requests, keys, stored_answers_, hooks, &Hooks::on_score,
      [&](const std::string& key) { return store_.find_score(key); },
      [&](const std::vector<std::pair<std::string, Score>>& some) { return store_.add(some, {}); },
      [&](std::span<const TextRequest> some, const Hooks& inner) { return model_.score_texts(some, inner); });
}

std::string expert_setting(const ModelConfig& config) {
  const RouterConfig& r = config.router;
  if (config.layer_top_k.empty() && r.expert_mass == 1.0) return {};
  std::string text = "top_k=";
  text +=
      config.layer_top_k.empty() ? fmt::format("{}", r.top_k) : fmt::format("{}", fmt::join(config.layer_top_k, ","));
  if (r.expert_mass < 1.0) text += fmt::format(" expert_mass={} {}", r.expert_mass, name_of(r.mass_variant));
  return text;
}

std::string hash_task(const TaskSpec& task) { return sha256_hex(task.source); }

std::string hash_questions(const PreparedTask& task) {
  std::string all;
  Contexts contexts;
  for (const Subtask& subtask : task.subtasks)
    for (const Document& document : subtask.documents) {
      append(all, subtask.name);
      append(all, document.question.id);
      append(all, document.target);
      for (const std::string& context : document.contexts) append(all, contexts.digest_of(context));
      for (const std::string& continuation : document.continuations) append(all, continuation);
    }
  return sha256_hex(all);
}

}  // namespace moe::inline MOE_ABI::eval
