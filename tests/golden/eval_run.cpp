// A whole run over the small model in the tree: the same sample files however it is batched, replies equal to
// those of a plain loop, and questions that cannot be scored.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/run/reply_run.hpp"
#include "eval/run/request_plan.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "scratch_dir.hpp"
#include "spoiled_model.hpp"
#include "support/utf8.hpp"

namespace eval_run_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::batch;
using namespace moe::eval;

namespace {

const fs::path kModel = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_run") {}
};

std::shared_ptr<const moe::Model> load(const fs::path& folder) {
  const auto model = moe::Model::load(folder.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

// Questions of two subjects, with shared stems, answers of different lengths and worked examples.
std::string write_exam(const fs::path& folder) {
  std::string lines;
  for (int i = 0; i < 16; ++i) {
    const bool is_example = i < 4;
    Json line = {{"id", "q" + std::to_string(i)},
                 {"split", is_example ? "dev" : "test"},
                 {"subject", i % 2 == 0 ? "even" : "odd"},
                 {"question", "what is " + std::to_string(i) + (i % 3 == 0 ? " and one" : " and another") + "?"},
                 {"choices", Json::array({"a", "a long answer", std::to_string(i + 1), "none"})},
                 {"answer", i % 4}};
    lines += line.dump() + "\n";
  }
  const std::string path = (folder / "exam.jsonl").string();
  std::ofstream(path) << lines;
  return path;
}

std::string write_reply_task(const fs::path& folder, int max_tokens) {
  const std::string path = (folder / "replies.json").string();
  const Json task = {{"task", "replies"},           {"type", "generation"},
                     {"questions", "./exam.jsonl"}, {"prompt", "Question: {question}\nAnswer:"},
                     {"continuation", "{choice}"},  {"until", Json::array({"\n", "ab"})},
                     {"max_tokens", max_tokens},    {"metrics", Json::array({"exact_match"})}};
  std::ofstream(path) << task.dump();
  return path;
}

// One continuation per question, and one whole text per question, some longer than the model's context.
std::string write_cloze_task(const fs::path& folder) {
  const std::string path = (folder / "cloze.json").string();
  const Json task = {{"task", "cloze"},
                     {"type", "cloze"},
                     {"questions", "./exam.jsonl"},
                     {"prompt", "{question}"},
                     {"continuation", "{id} words"},
                     {"metrics", Json::array({"perplexity", "acc"})}};
  std::ofstream(path) << task.dump();
  return path;
}
std::string write_text_task(const fs::path& folder) {
  std::ofstream lines(folder / "texts.jsonl");
  for (int i = 0; i < 5; ++i) {
    std::string text = "Text";
    for (int k = 0; k < 1 + i * 60; ++k) text += " word" + std::to_string(k * (1 + i % 2));
    lines << Json{{"id", i}, {"text", text}}.dump() << "\n";
  }
  const std::string path = (folder / "texts.json").string();
  const Json task = {{"task", "texts"},
                     {"type", "rolling"},
                     {"questions", "./texts.jsonl"},
                     {"continuation", "{text}"},
                     {"metrics", Json::array({"word_perplexity", "bits_per_byte"})}};
  std::ofstream(path) << task.dump();
  return path;
}

PreparedTask prepared(const std::string& what, std::int64_t shots) {
  const auto spec = load_task(what);
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, {.num_fewshot = shots});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

// All sample files of a run, by name.
std::map<std::string, std::string> samples(const std::vector<PreparedTask>& tasks,
                                           const std::shared_ptr<const moe::Model>& model,
                                           const SessionModelOptions& options, const fs::path& folder) {
  auto scorer = SessionModel::create(model, options);
  REQUIRE(scorer.has_value());
  RunReport report;
  report.started = "now";
  report.tasks = tasks;
  ModelRun& run = report.models.emplace_back();
  run.name = "m";
  for (const PreparedTask& task : tasks) {
    auto outcome = evaluate(task, **scorer);
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    run.outcomes.push_back(std::move(*outcome));
  }
  fs::remove_all(folder);
  const auto written = write_harness_files(report, run, folder.string());
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().starts_with("samples_"))
      files[entry.path().filename().string()] = moe_test::read_file(entry.path());
  return files;
}

// Writes a reply token by token, alone in a Session.
Generation plain_reply(const std::shared_ptr<const moe::Model>& model, const std::string& context, std::int64_t count) {
  auto session = moe::Session::create(model);
  REQUIRE(session.has_value());
  const moe::Tokenizer& tokenizer = *model->tokenizer();
  std::vector<moe::TokenId> ids = *tokenizer.encode(context), next = ids, written;
  const moe::Sequence sequence = *(*session)->open();
  Generation out;
  for (std::int64_t i = 0; i < count; ++i) {
    const moe::BatchItem item{sequence, next, moe::Logits::last};
    const auto output = (*session)->step({&item, 1});
    REQUIRE(output.has_value());
    const auto row = output->padded_row(0);
    next = {static_cast<moe::TokenId>(std::max_element(row.begin(), row.end()) - row.begin())};
    written.push_back(next[0]);
    out.finished = tokenizer.is_stop(next[0]);
    if (out.finished) break;
  }
  out.generated_tokens = static_cast<std::int32_t>(written.size());
  std::erase_if(written, [&](moe::TokenId id) { return id >= tokenizer.vocab_size(); });  // padding has no text
  const auto text = tokenizer.decode(written, moe::SpecialTokens::hide);
  REQUIRE(text.has_value());
  out.text = moe::replace_invalid_utf8(*text);
  return out;
}

// Tokens of all prompts, what they share counted once.
std::int64_t tree_tokens(const moe::Model& model, const std::vector<GenerateRequest>& requests) {
  const auto encoded = encode_contexts(*model.tokenizer(), requests, model.config().max_position, {}, {});
  REQUIRE(encoded.has_value());
  std::vector<std::int64_t> last;
  for (std::size_t i = 0; i < requests.size(); ++i)
    last.push_back(static_cast<std::int64_t>(encoded->inputs[i].size()) - 1);
  const Passes passes = collect_passes(encoded->inputs, last);
  std::int64_t count = 0;
  for (const PrefixNode& node : build_prefix_tree(passes.list, true, 1 << 20)) count += node.token_count();
  return count;
}

// Two neighbouring ASCII characters of a text, to be a stop text.
std::string ascii_part(const std::string& text) {
  for (std::size_t i = 3; i + 1 < text.size(); ++i)
    if ((text[i] & 0x80) == 0 && (text[i + 1] & 0x80) == 0) return text.substr(i, 2);
  return "";
}

}  // namespace

TEST_CASE("sample files have the same bytes for any batch, cache, thread count and sharing") {
  const Scratch scratch;
  const auto model = load(kModel);
  const std::string exam = write_exam(scratch.dir);
  const std::vector<PreparedTask> tasks = {prepared(exam, 2), prepared(write_reply_task(scratch.dir, 8), 0),
                                           prepared(write_cloze_task(scratch.dir), 1),
                                           prepared(write_text_task(scratch.dir), 0)};
  const auto expected = samples(tasks, model, {}, scratch.dir / "out");
  CHECK(expected.size() == 4);
  for (std::int64_t batch : {1, 7, 4096})
    for (std::int64_t cache : {std::int64_t{1}, std::int64_t{64} << 20})
      for (bool share : {false, true}) {
        if (!share && cache == 1) continue;
        SessionModelOptions options;
        options.batch_tokens = batch, options.cache_bytes = cache, options.share_prefixes = share;
        options.threads = moe::openmp_pool(1 + static_cast<std::int32_t>(batch % 3));
        CAPTURE(batch);
        CAPTURE(cache);
        CAPTURE(share);
        const auto got = samples(tasks, model, options, scratch.dir / "out");
        CHECK(got.size() == expected.size());
        for (const auto& [file, bytes] : expected) {
          const std::string& name = file;  // clang 14 lets no structured binding into CAPTURE
          CAPTURE(name);
          REQUIRE(got.contains(name));
          CHECK((got.at(name).size() == bytes.size() &&
                 std::memcmp(got.at(name).data(), bytes.data(), bytes.size()) == 0));
        }
      }
}

TEST_CASE("replies are those of a plain loop; stop texts and the limit end them; prompts are shared") {
  const auto model = load(kModel);
  std::vector<std::string> contexts;
  for (int i = 0; i < 12; ++i)
    contexts.push_back("Numbers and words.\n\nQuestion: " + std::to_string(i % 9) + (i % 2 == 0 ? " and a?" : "?") +
                       "\nAnswer:");
  contexts.push_back("Numbers and words.\n\nQuestion: 0");  // begins as others do
  contexts.push_back(contexts[0]);                          // twice, with another limit
  constexpr std::int64_t kLong = 16, kShort = 5;
  std::vector<Generation> expected;
  std::vector<std::vector<std::string>> stops(contexts.size());
  std::vector<GenerateRequest> requests;
  std::size_t stopped = 0;
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    const std::int64_t limit = i + 1 == contexts.size() ? kShort : kLong;
    expected.push_back(plain_reply(model, contexts[i], limit));
    if (i % 3 == 0 && expected[i].text.size() > 6) stops[i] = {"never", ascii_part(expected[i].text)};
    stopped += !stops[i].empty();
    requests.push_back({contexts[i], stops[i], limit, "q"});
  }
  REQUIRE(stopped > 1);
  for (std::int64_t batch : {1, 3, 512}) {
    CAPTURE(batch);
    SessionModelOptions options;
    options.batch_tokens = batch;
    auto scorer = SessionModel::create(model, options);
    REQUIRE(scorer.has_value());
    std::vector<int> seen(requests.size(), 0);
    Hooks hooks;
    hooks.on_reply = [&](std::int64_t request, const Generation&) { ++seen[static_cast<std::size_t>(request)]; };
    const auto replies = (*scorer)->generate(requests, hooks);
    REQUIRE_MESSAGE(replies.has_value(), replies.error().message);
    std::int64_t asked = 0, fed = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CAPTURE(i);
      const Generation& reply = (*replies)[i];
      CHECK(seen[i] == 1);
      CHECK(reply.failure == Failure::none);
      CHECK(reply.text == cut_at(expected[i].text, stops[i]));
      CHECK(reply.finished == (expected[i].finished || !stops[i].empty()));
      if (stops[i].empty()) CHECK(reply.generated_tokens == expected[i].generated_tokens);
      if (!stops[i].empty()) CHECK(reply.generated_tokens < expected[i].generated_tokens);
      CHECK(reply.pass_tokens == reply.context_tokens + reply.generated_tokens - 1);
      asked += reply.pass_tokens;
      fed += reply.generated_tokens - 1;
    }
    CHECK((*scorer)->executed().tokens < asked);
    // Prompts once where they are shared, then each reply's own tokens: what is finished left the batch.
    CHECK((*scorer)->executed().tokens == tree_tokens(*model, requests) + fed);
  }
}

TEST_CASE("whole texts are scored as the reference harness scores them with the same model") {
  const auto model = load(kModel);
  const Json file = Json::parse(moe_test::read_file(fs::path(MOE_SOURCE_DIR) / "tests/data/harness/rolling.json"));
  SessionModelOptions options;
  options.precision = moe::Precision::reference, options.kv = moe::KvType::f32;
  auto scorer = SessionModel::create(model, options);
  REQUIRE(scorer.has_value());
  CHECK((*scorer)->max_length() == file["max_length"].get<std::int64_t>());
  std::vector<std::string> texts;
  std::vector<TextRequest> requests;
  for (const Json& row : file["texts"]) texts.push_back(row["text"].get<std::string>());
  for (const std::string& text : texts) requests.push_back({text, "q"});
  std::int64_t reported = 0;
  Hooks hooks;
  hooks.on_score = [&](std::int64_t, const Score&) { ++reported; };
  const auto scores = (*scorer)->score_texts(requests, hooks);
  REQUIRE_MESSAGE(scores.has_value(), scores.error().message);
  CHECK(reported == static_cast<std::int64_t>(texts.size()));
  moe::Work charged;
  bool is_long = false;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(i);
    const auto expected = file["texts"][i]["log_likelihood"].get<double>();
    CHECK((*scores)[i].continuation_tokens == file["texts"][i]["tokens"].get<int>());
    CHECK(std::abs((*scores)[i].log_likelihood - expected) <= 1e-3 + 1e-5 * std::abs(expected));
    is_long = is_long || (*scores)[i].continuation_tokens > 2 * (*scorer)->max_length();
    charged += (*scorer)->text_work((*scores)[i].continuation_tokens, (*scores)[i].pass_experts);
  }
  CHECK(is_long);
  CHECK((*scorer)->executed().tokens <= charged.tokens);
  // A shorter context is another question.
  options.max_length = 32;
  auto shorter = SessionModel::create(model, options);
  const auto other = (*shorter)->score_texts(requests, {});
  REQUIRE(other.has_value());
  CHECK((*other)[0].log_likelihood == (*scores)[0].log_likelihood);
  CHECK((*other).back().log_likelihood != (*scores).back().log_likelihood);
}

TEST_CASE("a reply needs its room: contexts are cut from the left, impossible limits are counted") {
  const auto model = load(kModel);
  const std::int64_t max_length = model->config().max_position;
  std::string words;
  for (int i = 0; i < 400; ++i) words += " word" + std::to_string(i);
  auto scorer = SessionModel::create(model);
  REQUIRE(scorer.has_value());
  const std::vector<GenerateRequest> requests = {{words, {}, 10, "cut"}, {"Short", {}, max_length, "impossible"}};
  const auto replies = (*scorer)->generate(requests, {});
  REQUIRE_MESSAGE(replies.has_value(), replies.error().message);
  CHECK((*replies)[0].truncated);
  CHECK((*replies)[0].pass_tokens == max_length - 10 + (*replies)[0].generated_tokens - 1);
  CHECK((*replies)[1].failure == Failure::too_long);
  CHECK((*replies)[1].text.empty());
}

namespace {

/// An exam with questions that a spoiled model cannot score, and with an answer that is too long.
struct Unscorable {
  Scratch scratch;
  std::string exam = (scratch.dir / "exam.jsonl").string();
  std::shared_ptr<const moe::Model> sound, spoiled;

  Unscorable() {
    std::ofstream out(exam);
    for (int i = 0; i < 12; ++i) {
      std::string answer = "right";
      if (i == 5)
        for (int k = 0; k < 300; ++k) answer += " word" + std::to_string(k);
      out << Json{{"id", "q" + std::to_string(i)},
                  {"question", i == 3 || i == 7 ? "a ~ b?" : "what is " + std::to_string(i) + "?"},
                  {"choices", Json::array({answer, "wrong", i == 9 ? "a~" : "else"})},
                  {"answer", 0}}
                 .dump()
          << "\n";
    }
    out.close();
    sound = load(moe_test::spoiled_model(kModel, scratch.dir, {}));
    const auto tilde = sound->tokenizer()->encode("~");
    REQUIRE(tilde->size() == 1);
    spoiled = load(moe_test::spoiled_model(kModel, scratch.dir, tilde->front()));
  }
};

}  // namespace

TEST_CASE("questions that cannot be scored are counted, count as wrong, and change no other") {
  const Unscorable m;
  const PreparedTask task = prepared(m.exam, 0);
  for (std::int64_t batch : {1, 40, 512}) {
    CAPTURE(batch);
    SessionModelOptions options;
    options.batch_tokens = batch;
    auto good = SessionModel::create(m.sound, options), bad = SessionModel::create(m.spoiled, options);
    const auto expected = evaluate(task, **good), got = evaluate(task, **bad);
    REQUIRE(expected.has_value());
    REQUIRE_MESSAGE(got.has_value(), got.error().message);
    CHECK(expected->non_finite == 0);
    CHECK(expected->too_long == 1);
    CHECK(got->too_long == 1);
    CHECK(got->non_finite == 2);  // an answer's last token is never fed: "a~" of question 9 has a score
    for (std::size_t d = 0; d < 12; ++d) {
      CAPTURE(d);
      const DocumentOutcome &a = expected->documents[0][d], &b = got->documents[0][d];
      const Failure failure = d == 3 || d == 7 ? Failure::non_finite : d == 5 ? Failure::too_long : Failure::none;
      CHECK(b.failure == failure);
      if (failure != Failure::none) CHECK(b.metrics == std::vector<double>(b.metrics.size(), 0.0));
      for (std::size_t i = 0; failure == Failure::none && i < a.scores.size(); ++i)
        CHECK(std::memcmp(&a.scores[i].log_likelihood, &b.scores[i].log_likelihood, sizeof(double)) == 0);
    }
  }
}

TEST_CASE("tables and files say how many questions could not be scored, zeros included") {
  const Unscorable m;
  auto scorer = SessionModel::create(m.spoiled);
  const PreparedTask task = *prepare(prepared(m.exam, 0).spec, {.limit = 10});
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun& run = report.models.emplace_back();
  run.name = "m";
  run.outcomes.push_back(*evaluate(task, **scorer));
  CHECK(render_tables(report).find("Questions that were not plainly asked and answered: m: 1 too long, 2 non-finite") !=
        std::string::npos);
  const std::string table = render_tables(report, {.verbose = true});
  CHECK_MESSAGE(table.find("truncated  too long  non-finite  match limit  skipped  ties") != std::string::npos, table);
  CHECK_MESSAGE(table.find("m                  0         1           2            0        2") != std::string::npos,
                table);
  REQUIRE(write_run_file(report, m.scratch.dir.string()).has_value());
  const Json file = Json::parse(moe_test::read_file(m.scratch.dir / "run.json"));
  const Json& counted = file["models"][0]["tasks"][0];
  CHECK(counted["too_long_questions"] == 1);
  CHECK(counted["non_finite_questions"] == 2);
  CHECK(counted["skipped_questions"] == 2);
  CHECK(counted["truncated_questions"] == 0);
  CHECK(counted["tied_questions"] == run.outcomes[0].tied);
}

}  // namespace eval_run_test
