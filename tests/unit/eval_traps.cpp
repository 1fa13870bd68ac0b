// Where evaluators usually differ from the reference harness: one small case for each, without any reference data.
// Elsewhere: 12 a sampler's state (eval_task), 18 GSM8K's cleaning (eval_filter), 20 keys of the cache (eval_store),
// 21 the bootstrap's seeds (eval_statistics).

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "eval/run/request_plan.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/evaluate.hpp"
#include "moe/eval/session_model.hpp"
#include "score/pair_encoder.hpp"
#include "scratch_dir.hpp"
#include "support/log_softmax.hpp"

namespace eval_traps_test {

using namespace moe::eval;
using moe::RowSummary;
using moe::summarise;

namespace {

struct DataFolder : moe_test::ScratchDir {
  DataFolder() : ScratchDir("moe_traps") {}
  PreparedTask prepared(const std::string& task, const std::string& lines, PrepareOptions options = {}) const {
    const auto spec = load_task(task);
    REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
    write("questions/" + spec->data, lines);
    options.data_dir = dir.string();
    auto out = prepare(*spec, options);
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    return std::move(*out);
  }
};

Document only_document(const std::string& task, const std::string& line) {
  const DataFolder data;
  return data.prepared(task, line).subtasks.at(0).documents.at(0);
}

// Scores by continuation; others get -100.
class Oracle : public LanguageModel {
 public:
  explicit Oracle(std::map<std::string, double> scores) : scores_(std::move(scores)) {}
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
    std::vector<Score> out(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto found = scores_.find(std::string(requests[i].continuation));
      out[i].log_likelihood = found == scores_.end() ? -100 : found->second;
    }
    return out;
  }

 private:
  std::map<std::string, double> scores_;
};

const std::filesystem::path kModel = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
using Ids = std::vector<moe::TokenId>;

// The tokenizer of the model in the tree, with or without a BOS token that it adds by itself.
std::shared_ptr<const moe::Tokenizer> tokenizer_of(bool adds_bos) {
  const auto made = moe::Tokenizer::create(moe::JsonTokenizer{
      moe_test::read_file(kModel / "tokenizer.json"), adds_bos ? R"({"bos_token":"<|endoftext|>","add_bos_token":true})"
                                                               : R"({"bos_token":null,"eos_token":"<|im_end|>"})"});
  REQUIRE_MESSAGE(made.has_value(), made.error().message);
  return *made;
}

Ids plain(const moe::Tokenizer& tokenizer, const std::string& text) { return *tokenizer.encode(text); }

}  // namespace

TEST_CASE("trap: white space at the context's end moves to the continuation, new lines and U+3000 too") {
  const auto tokenizer = tokenizer_of(false);
  const PairEncoder encoder(*tokenizer);
  for (const std::string space : {" ", "\n\n", "\xe3\x80\x80", " \t\n"}) {
    const auto pair = encoder.encode("Answer:" + space, "yes"), same = encoder.encode("Answer:", space + "yes");
    REQUIRE((pair.has_value() && same.has_value()));
    CHECK(pair->context == plain(*tokenizer, "Answer:"));
    CHECK(pair->context == same->context);
    CHECK(pair->continuation == same->continuation);
  }
}

TEST_CASE("trap: the model sees the context's own tokens, then what the joint text has beyond their number") {
  const auto tokenizer = tokenizer_of(false);
  const PairEncoder encoder(*tokenizer);
  int spans = 0, vanished = 0;
  for (const std::string context : {"a", "i", "o", "t", "th", "w", "wh", "an", " t", " a"})
    for (const std::string continuation : {"n", "t", "r", "h", "he", "nd", "ere", "e", "s", "n b"}) {
      const Ids whole = plain(*tokenizer, context + continuation), own = plain(*tokenizer, context);
      const auto pair = encoder.encode(context, continuation);
      REQUIRE(pair.has_value());
      CHECK(pair->context == own);
      const bool is_left = whole.size() > own.size();
      CHECK(pair->reencoded == !is_left);
      CHECK(pair->continuation == (is_left ? Ids(whole.begin() + static_cast<std::ptrdiff_t>(own.size()), whole.end())
                                           : plain(*tokenizer, continuation)));
      spans += is_left && !std::equal(own.begin(), own.end(), whole.begin());
      vanished += !is_left;
    }
  CHECK(spans > 0);  // the joint text does not begin with the context's tokens: the mixture is what counts
  CHECK(vanished > 0);
}

TEST_CASE("trap: BOS where the tokenizer adds one by itself, never two; an empty context is BOS, else EOS") {
  const auto with = tokenizer_of(true), without = tokenizer_of(false);
  REQUIRE(with->adds_bos());
  const moe::TokenId bos = *with->bos();
  const PairEncoder encoder(*with), bare(*without);
  CHECK(encoder.encode("Q:", " A")->context.front() == bos);
  CHECK(bare.encode("Q:", " A")->context == plain(*without, "Q:"));
  const Ids twice = encoder.encode("<|endoftext|>Q:", " A")->context;
  CHECK(std::count(twice.begin(), twice.end(), bos) == 1);
  CHECK(encoder.encode("", "A")->context == Ids{bos});
  CHECK(encoder.encode("", "<|endoftext|>A")->continuation == plain(*with, "A"));
  CHECK(bare.encode("", "A")->context == Ids{*without->eos()});
  CHECK(encoder.encode_text("A")->size() ==
        2 + plain(*with, "A").size());  // as the harness: one of its own, one before
}

TEST_CASE("trap: what is too long is cut from the left, BOS and description first") {
  const auto tokenizer = tokenizer_of(true);
  const std::vector<ScoreRequest> requests = {{"Description. Question: what?", " A", "q"}};
  const auto whole = encode_scores(*tokenizer, requests, 1000, {}, {}),
             cut = encode_scores(*tokenizer, requests, 5, {}, {});
  REQUIRE((whole.has_value() && cut.has_value()));
  CHECK_FALSE(whole->scores[0].truncated);
  CHECK(whole->inputs[0].front() == *tokenizer->bos());
  CHECK(cut->scores[0].truncated);
  CHECK(cut->inputs[0] == Ids(whole->inputs[0].end() - 5, whole->inputs[0].end()));
  CHECK(cut->targets[0] == whole->targets[0]);
}

TEST_CASE("trap: log-softmax over all logits, padding of the vocabulary included, not rounded to 16 bits") {
  const auto model = moe::Model::load(kModel.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  REQUIRE((*model)->config().vocab_size > (*model)->tokenizer()->vocab_size());
  SessionModelOptions options;
  options.precision = moe::Precision::reference, options.kv = moe::KvType::f32;
  const std::vector<ScoreRequest> requests = {{"Question: which?\nAnswer:", " A", "q"}};
  auto scorer = SessionModel::create(*model, options);
  const auto scores = (*scorer)->score(requests, {});
  REQUIRE(scores.has_value());
  moe::SessionOptions plain_options;
  plain_options.precision = options.precision, plain_options.kv = options.kv;
  auto session = moe::Session::create(*model, plain_options);
  const auto pair = PairEncoder(*(*model)->tokenizer()).encode(requests[0].context, requests[0].continuation);
  Ids input = pair->context;
  input.insert(input.end(), pair->continuation.begin(), pair->continuation.end() - 1);
  const moe::BatchItem item{*(*session)->open(), input, moe::Logits::all};
  const auto output = (*session)->step({&item, 1});
  REQUIRE(output.has_value());
  double expected = 0, without_padding = 0;
  for (std::size_t i = 0; i < pair->continuation.size(); ++i) {
    const auto row = output->padded_row(static_cast<std::int64_t>(pair->context.size() - 1 + i));
    double sum = 0, known = 0;
    for (std::size_t v = 0; v < row.size(); ++v) {
      sum += std::exp(static_cast<double>(row[v]));
      if (v < static_cast<std::size_t>((*model)->tokenizer()->vocab_size()))
        known += std::exp(static_cast<double>(row[v]));
    }
    const auto target = static_cast<double>(row[static_cast<std::size_t>(pair->continuation[i])]);
    expected += target - std::log(sum), without_padding += target - std::log(known);
  }
  CHECK(std::abs((*scores)[0].log_likelihood - expected) < 1e-9);
  CHECK(std::abs(expected - without_padding) > 1e-6);
  // bfloat16 has steps of 1/128 here: there these two would be a tie, and the first would win.
  const RowSummary row = summarise(std::vector<float>{-1.0F, -1.0F + 0x1p-20F, -3.0F});
  CHECK(row.argmax == 1);
  CHECK(row.log_probability(-1.0F) < row.log_probability(-1.0F + 0x1p-20F));
  const DataFolder data;
  const auto task = data.prepared("piqa", R"({"id":"1","question":"q","choices":["a","b"],"answer":1})");
  Oracle close_by({{" a", -1.5}, {" b", -1.4999}});
  const auto outcome = evaluate(task, close_by);
  CHECK(outcome->overall.metrics[0].value == 1);
  CHECK(outcome->tied == 0);
}

TEST_CASE("whole texts: every token once, no window longer than the model's") {
  for (std::int64_t count : {1, 4, 5, 8, 9, 12, 13, 40})
    for (std::int64_t length : {1, 2, 4, 5, 50}) {
      CAPTURE(count);
      CAPTURE(length);
      std::int64_t next = 0;
      for (const TextWindow& w : text_windows(count, length)) {
        CHECK(w.begin == next);
        CHECK(w.end > w.begin);
        CHECK(w.first < w.begin);  // there is context before the first target
        CHECK(w.input_count() <= length);
        CHECK((w.begin == 0 || w.input_count() == length));
        next = w.end;
      }
      CHECK(next == count);
    }
  // A reply that began with thoughts.
  CHECK(after_thinking(" a</t>b", "") == " a</t>b");
  CHECK(after_thinking("\u3000 a", "</t>") == "a");
  CHECK(after_thinking("a</t>b </t>\n\n c </", "</t>") == "c </");
  CHECK(after_thinking("a</t>", "</t>").empty());
  CHECK(words("") == 1);
  CHECK(words(" a\u3000 b\n") == 4);
  CHECK(words("a b") == 2);
}

TEST_CASE("trap: acc_norm divides by code points, without the delimiter") {
  // "\u4e2d\u6587" has 2 code points and 6 bytes; -4/2 loses to -5/3, and -4/6 would win.
  const DataFolder data;
  const auto task = data.prepared(
      "piqa", "{\"id\":\"1\",\"question\":\"q\",\"choices\":[\"\xe4\xb8\xad\xe6\x96\x87\",\"abc\"],\"answer\":1}");
  Oracle model({{" \xe4\xb8\xad\xe6\x96\x87", -4}, {" abc", -5}});
  const auto outcome = evaluate(task, model);
  CHECK(outcome->documents[0][0].metrics == std::vector<double>{0, 1});
}

TEST_CASE("trap: questions are stripped of Unicode white space, choices keep theirs; the letter is \" A\"") {
  const Document d = only_document(
      "mmlu",
      R"({"id":"1","subject":"anatomy","question":"\u00a0\u3000Q\u00a0\n","choices":[" a","b ","c","d"],"answer":3})");
  CHECK(d.contexts[0] ==
        "The following are multiple choice questions (with answers) about anatomy.\n\nQ\nA.  a\nB. b \nC. c\nD. "
        "d\nAnswer:");
  CHECK(d.continuations == std::vector<std::string>{" A", " B", " C", " D"});
}

TEST_CASE("trap: a space before the letter, even behind a full-width colon") {
  for (const char* task : {"cmmlu", "ceval"}) {
    CAPTURE(task);
    const std::string subject = load_task(task)->subjects.front().first;
    const Document d = only_document(
        task, R"({"id":"1","subject":")" + subject + R"(","question":"Q","choices":["a","b","c","d"],"answer":3})");
    CHECK(d.contexts[0].ends_with("\xe7\xad\x94\xe6\xa1\x88\xef\xbc\x9a"));
    CHECK(d.continuations[0] == " A");
  }
}

TEST_CASE("trap: BoolQ's first choice is no") {
  const Document d =
      only_document("boolq", R"({"id":"1","passage":"P","question":"is it","choices":["no","yes"],"answer":1})");
  CHECK(d.contexts[0] == "P\nQuestion: is it?\nAnswer:");
  CHECK(d.continuations == std::vector<std::string>{" no", " yes"});
}

TEST_CASE("trap: WinoGrande scores one shared ending behind two contexts, without normalisation") {
  const Document d = only_document(
      "winogrande",
      R"({"id":"1","question":"","choices":["Ann was late because Ann","Ann was late because Bob"],"continuation":" slept. ","answer":0})");
  CHECK(d.contexts == std::vector<std::string>{"Ann was late because Ann", "Ann was late because Bob"});
  CHECK(d.continuations == std::vector<std::string>{" slept.", " slept."});
  CHECK(column_of(load_task("winogrande")->metrics, Metric::acc_norm) == load_task("winogrande")->metrics.size());
}

TEST_CASE("trap: LAMBADA counts a word only when every token of it is greedy") {
  TaskSpec spec = *load_task("lambada_openai");
  Document d;
  d.lengths = {1};
  Score score;
  score.log_likelihood = -2;
  const std::size_t acc = column_of(spec.metrics, Metric::acc);
  CHECK(score_document(spec, d, {score})->metrics[acc] == 0);
  score.is_greedy = true;
  CHECK(score_document(spec, d, {score})->metrics[acc] == 1);
}

TEST_CASE("trap: equal scores go to the first choice and are counted; a NaN never wins") {
  const DataFolder data;
  const auto task = data.prepared("piqa", R"({"id":"q7","question":"q","choices":["a","b","c"],"answer":0})");
  Oracle tie({{" a", -1}, {" b", -1}, {" c", -3}});
  const auto outcome = evaluate(task, tie);
  CHECK(outcome->documents[0][0].prediction == 0);
  CHECK(outcome->tied == 1);
  Oracle broken({{" a", -1}, {" b", std::nan("")}});
  const auto refused = evaluate(task, broken);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::non_finite);
  CHECK(refused.error().message.find("question 'q7'") == 0);
  CHECK(summarise(std::vector<float>{-1, 2, 2}).argmax == 1);
}

TEST_CASE("trap: three and five choices, none assumed") {
  CHECK(only_document("arc_easy", R"({"id":"1","question":"q","choices":["a","b","c"],"answer":2})")
            .continuations.size() == 3);
  CHECK(only_document("arc_easy", R"({"id":"1","question":"q","choices":["a","b","c","d","e"],"answer":4})")
            .continuations.size() == 5);
  // A prompt that names four choices does not take a question with three.
  const DataFolder data;
  std::filesystem::create_directories(data.dir / "questions");
  std::ofstream(data.dir / "questions/mmlu.jsonl")
      << R"({"id":"7","subject":"anatomy","question":"q","choices":["a","b","c"],"answer":2})";
  const auto missing = prepare(*load_task("mmlu"), {.data_dir = data.dir.string()});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message ==
        (data.dir / "questions/mmlu.jsonl").string() + ": question '7' has no choice 4 (it has 3)");
}

TEST_CASE("trap: worked examples are asked for, except where the task says so") {
  for (const std::string& name : builtin_task_names()) {
    CAPTURE(name);
    CHECK(load_task(name)->num_fewshot == (name == "gsm8k" ? 5 : 0));
  }
}

TEST_CASE("trap: the limit is of each subtask; groups weigh questions, not subtasks") {
  std::string lines;
  for (int i = 0; i < 6; ++i)
    lines += R"({"id":")" + std::to_string(i) + R"(","subject":")" + (i < 4 ? "anatomy" : "virology") +
             R"(","question":"q","choices":["a","b","c","d"],"answer":)" + (i < 4 ? "0" : "1") + "}\n";
  const DataFolder data;
  CHECK(data.prepared("mmlu", lines, {.limit = 1}).question_count() == 2);
  CHECK(data.prepared("mmlu", lines, {.limit = 0.3}).question_count() == 3);  // ceil(1.2) + ceil(0.6)
  Oracle model({{" A", -1}});
  const auto outcome = evaluate(data.prepared("mmlu", lines), model);
  REQUIRE(outcome.has_value());
  CHECK(outcome->overall.metrics[0].value == doctest::Approx(4.0 / 6));  // the mean of 1 and 0 would be 1/2
  // A group that asks for that mean has it.
  std::ofstream(data.dir / "macro.json") << R"({"task":"t","questions":"./questions/mmlu.jsonl","prompt":"{question}",
      "continuation":"{label}","labels":["A","B","C","D"],"metrics":["acc"],"subtasks":{"name":"t_{subject}"},
      "groups":[{"name":"all","weight_by_size":false,"subjects":["anatomy","virology"]}]})";
  const auto spec = load_task((data.dir / "macro.json").string());
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto macro = evaluate(*prepare(*spec, {}), model);
  REQUIRE(macro.has_value());
  REQUIRE(macro->groups.front().name == "all");
  CHECK(macro->groups.front().metrics[0].value == doctest::Approx(0.5));
  CHECK(macro->overall.metrics[0].value == doctest::Approx(4.0 / 6));
}

}  // namespace eval_traps_test
