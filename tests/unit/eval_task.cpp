// Task files, templates, question files and prompts: what they accept, and the one line they say when they do not.

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "eval/score/python_random.hpp"
#include "eval/score/text.hpp"
#include "eval/tasks/template.hpp"
#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"
#include "support/sha256.hpp"

namespace eval_task_test {

using namespace moe::eval;

namespace {

struct TemporaryFolder : moe_test::ScratchDir {
  TemporaryFolder() : ScratchDir("moe_eval_task") {}
};

std::string error_of_questions(const std::string& lines, TaskKind kind = TaskKind::multiple_choice) {
  const TemporaryFolder folder;
  const auto loaded = load_questions(folder.write("q.jsonl", lines), kind);
  if (loaded) return "";
  return loaded.error().message.substr(folder.dir.string().size() + 1);
}

std::string error_of_template(int pieces) {
  std::string text;
  for (int i = 0; i < pieces; ++i) text += "{a}";
  const auto parsed = Template::parse(text);
  return parsed ? "" : parsed.error().message;
}

const std::string kGood = R"({"id":"a","question":"1+1?","choices":["1","2"],"answer":1})";

}  // namespace

TEST_CASE("strip is Python's: all Unicode white space, at both ends, nothing else") {
  const std::u32string spaces =
      U"\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
      U"\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
  std::string all;
  for (char32_t c : spaces) {
    if (c < 0x80) {
      all += static_cast<char>(c);
    } else if (c < 0x800) {
      all += static_cast<char>(0xC0 | (c >> 6)), all += static_cast<char>(0x80 | (c & 0x3F));
    } else {
      all += static_cast<char>(0xE0 | (c >> 12)), all += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
      all += static_cast<char>(0x80 | (c & 0x3F));
    }
  }
  CHECK(strip(all).empty());
  CHECK(strip(all + "x y" + all) == "x y");
  CHECK(rstrip_length("x\n\xe3\x80\x80") == 1);
  // Zero-width space, byte-order mark and a broken byte are not white space.
  for (const std::string kept : {"\xe2\x80\x8b", "\xef\xbb\xbf", "\xa0", "\x80\x80"}) CHECK(strip(kept) == kept);
  CHECK(code_points("a\xe2\x80\x99\xe4\xb8\xad") == 3);
}

TEST_CASE("floats print as Python prints them") {
  for (const auto& [x, text] : {std::pair{1.0, "1.0"},
                                {-0.1, "-0.1"},
                                {1e-5, "1e-05"},
                                {1e16, "1e+16"},
                                {123456789.125, "123456789.125"},
                                {-16.0, "-16.0"},
                                {5e-324, "5e-324"}})
    CHECK(python_float(x) == text);
}

TEST_CASE("SHA-256 of FIPS 180-4's examples") {
  CHECK(moe::sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(moe::sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(moe::sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(moe::sha256_hex(std::string(1000, 'a')) == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

TEST_CASE("templates") {
  TaskSpec task;
  task.labels = {"A", "B"};
  task.subjects = {{"high_school", "High School"}};
  Question q;
  q.json = R"({"choices":["one"," two "],"question":"  what?\u00a0","subject":"high_school","number":1.50,"flag":true,
    "passage":"long\ntext\nlast","wiki":" A [header] b [title] c [d","open":"[[ [ [x]\n[ y] ","list":["no text"]})";
  const auto fields = QuestionFields::read(q);
  REQUIRE_MESSAGE(fields.has_value(), fields.error().message);
  const auto render = [&](const char* text, std::int64_t choice = -1) {
    const auto parsed = Template::parse(text);
    if (!parsed) return parsed.error().message;
    const auto out = parsed->render(task, *fields, choice);
    return out ? *out : out.error().message;
  };
  CHECK(render("{question|strip} {choices[1]}|{{x}}") == "what?  two |{x}");
  CHECK(render("{subject|spaces}, {subject|title}") == "high school, High School");
  CHECK(render("{label}. {choice}", 1) == "B.  two ");
  CHECK(render("{passage|head}") == "long\ntext");
  CHECK(render("{wiki|unbracket}") == "A b. c [d");  // "A  b" shrinks once; a bracket that never closes stays
  CHECK(render("{open|unbracket}") == "\n");
  CHECK(render("{number} {flag}") == "1.5 true");
  CHECK(render("{list}").find("has no field 'list'") != std::string::npos);
  CHECK(render("{choices[2]}").find("has no choice 3 (it has 2)") != std::string::npos);
  CHECK(render("{nothing}").find("has no field 'nothing'") != std::string::npos);
  CHECK(render("{question|upper}").find("unknown filter 'upper' (known: strip, spaces") != std::string::npos);
  CHECK(render("{question").find("without }") != std::string::npos);
  CHECK(render("a } b").find("single }") != std::string::npos);
  CHECK(render("{choices[x]}").find("only choices[N]") != std::string::npos);
  CHECK(render("{}").find("empty placeholder") != std::string::npos);
}

TEST_CASE("every built-in task file is sound and named as its file") {
  CHECK(builtin_task_names().size() >= 5);
  for (const std::string& name : builtin_task_names()) {
    const auto task = load_task(name);
    REQUIRE_MESSAGE(task.has_value(), task.error().message);
    CHECK_FALSE(task->metrics.empty());
  }
  CHECK(load_task("mmlu")->subjects.size() == 57);
}

TEST_CASE("bad task files and names give one line") {
  const auto error = [](const char* json) {
    const auto task = parse_task(json, "t.json");
    return task ? std::string() : task.error().message;
  };
  CHECK(error("[") == "t.json: is no valid JSON at byte 2");
  CHECK(error("[]") == "t.json: holds a JSON array, expected an object");
  CHECK(error(R"({"task":"t","task":"u"})") == "t.json: has the key 'task' twice in one object");
  CHECK(error("{}") == "t.json: key 'task' is missing");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p"})") == "t.json: key 'metrics' is missing or empty");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["f1"]})") ==
        "t.json: metrics: unknown metric 'f1' (known: acc, acc_norm, perplexity, exact_match, acc_bytes, "
        "acc_mutual_info, brier_score, word_perplexity, byte_perplexity, bits_per_byte)");
  CHECK(error(R"({"task":"t","questions":3,"prompt":"p","metrics":["acc"]})") ==
        "t.json: key 'questions' is number, expected text");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"{p","metrics":["acc"]})")
            .find("t.json: prompt: placeholder without }") == 0);
  CHECK(
      error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"promt":"x"})").find("unknown key 'promt'") !=
      std::string::npos);
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"type":"essay"})")
            .find("unknown type 'essay'") != std::string::npos);
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"fewshot":{"examples":"e","rule":"luck"}})")
            .find("unknown rule 'luck'") != std::string::npos);
  const auto filter = [&](const std::string& rest) {
    return error(
        (R"({"task":"t","type":"generation","questions":"q","prompt":"p","continuation":"c","metrics":["exact_match"],)" +
         rest + "}")
            .c_str());
  };
  const auto step = [&](const std::string& s) { return filter(R"("filters":[{"name":"f","steps":[)" + s + "]}]"); };
  CHECK(step(R"({"function":"take_first"})") == "");
  CHECK(step(R"({"function":"regex","regex_pattern":"(a"})") ==
        "t.json: filter f: pattern '(a': missing closing parenthesis (at byte 2)");
  CHECK(step(R"({"function":"regex"})") == "t.json: key 'regex_pattern' is missing");
  CHECK(step(R"({"function":"judge"})").find("t.json: filters: unknown function 'judge' (known: regex, ") == 0);
  CHECK(step(R"({"function":"take_first","k":2})") == "t.json: filters: take_first: unknown key 'k' (known: function)");
  CHECK(step(R"({"function":"take_first_k","k":0})").find("key 'k' is '0', expected a whole number from 1") !=
        std::string::npos);
  CHECK(step(R"({"function":"regex","regex_pattern":"a","group_select":"1"})").find("expected a whole number") !=
        std::string::npos);
  CHECK(step(R"("take_first")") == "t.json: filters: a step of 'f' is no object");
  CHECK(step(R"({"function":"map"})") == "t.json: filters: map has no mapping_dict");
  // There is one reply to each question: chains are followed before any is asked.
  CHECK(step(R"({"function":"take_first_k","k":1})") == "");
  CHECK(step(R"({"function":"take_first_k","k":2})") ==
        "t.json: filter f: take_first_k: 2 replies asked for, there is 1");
  CHECK(step(R"({"function":"lowercase"},{"function":"majority_vote"},{"function":"take_first_k","k":3})")
            .find("take_first_k: 3 replies asked for") != std::string::npos);
  CHECK(step(R"({"function":"lowercase"},{"function":"regex","regex_pattern":"(a"})").find("pattern '(a'") !=
        std::string::npos);
  CHECK(filter(R"("filters":[])") == "t.json: key 'filters' is no list of filters");
  CHECK(filter(R"("filters":[{"name":"f","steps":[]},{"name":"f","steps":[]}])") ==
        "t.json: filters: two are called 'f'");
  CHECK(filter(R"("until":[""])") == "t.json: until: an empty text would end every reply at once");
  CHECK(filter(R"("max_tokens":0)").find("expected a whole number from 1 to ") != std::string::npos);
  CHECK(filter(R"("exact_match":{"ignore_case":1})") == "t.json: key 'ignore_case' is number, expected true or false");
  CHECK(filter(R"("exact_match":{"regexes_to_ignore":["["]})").find("t.json: exact_match: pattern '[': ") == 0);
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"until":["x"]})") ==
        "t.json: key 'until' is for tasks of type generation");
  // What would meet in the results.
  CHECK(error(R"({"task":"","questions":"q","prompt":"p","metrics":["acc"]})") == "t.json: key 'task' is empty");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc","acc_norm","acc"]})") ==
        "t.json: metrics names 'acc' twice");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"group_metrics":["acc","acc"]})") ==
        "t.json: group_metrics names 'acc' twice");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"group_by":["a","b","a"]})") ==
        "t.json: group_by names 'a' twice");
  const auto groups = [&](const char* list) {
    return error((R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"subtasks":{"name":"{subject}"},)"
                  R"("groups":)" +
                  std::string(list) + "}")
                     .c_str());
  };
  CHECK(groups(R"([{"name":"g","subjects":["a"]},{"name":"h","subjects":["b"]}])") == "");
  CHECK(groups(R"([{"name":"g","subjects":["a"]},{"name":"g","subjects":["b"]}])") ==
        "t.json: groups: two are called 'g'");
  CHECK(groups(R"([{"name":"t","subjects":["a"]}])") ==
        "t.json: groups: 't' is the task's own name, which stands for all");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["bits_per_byte"]})") ==
        "t.json: metric bits_per_byte is not for tasks of type multiple_choice");
  CHECK(error(R"({"task":"t","type":"rolling","questions":"q","continuation":"{text}","metrics":["acc"]})") ==
        "t.json: metric acc is not for tasks of type rolling");
  CHECK(error(R"({"task":"t","type":"rolling","questions":"q","prompt":"p","continuation":"c","metrics":["acc"]})") ==
        "t.json: key 'prompt' is not for tasks of type rolling");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"{choice}","continuation":"c","metrics":["acc_mutual_info"]})")
            .find("t.json: metric acc_mutual_info needs one prompt for all answers") == 0);
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"subtasks":{"name":"{subject}"},)"
              R"("groups":[{"name":"g","subject":["a"]}]})")
            .find("t.json: groups: unknown key 'subject'") == 0);
  const auto unknown = load_task("mmlo");
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().message.find("unknown task 'mmlo' (known: arc_challenge, arc_easy") == 0);
  CHECK(load_task("nowhere.json").error().code == moe::ErrorCode::not_found);
}

TEST_CASE("bad question files name file, line and question") {
  CHECK(error_of_questions(kGood) == "");
  CHECK(error_of_questions(kGood + "\n\n") == "");
  CHECK(error_of_questions("") == "q.jsonl holds no question");
  CHECK(error_of_questions(kGood + "\nnonsense") == "q.jsonl:2: question 'line 2' is no valid JSON at byte 1");
  CHECK(error_of_questions(kGood + "\n[]") == "q.jsonl:2: question 'line 2' is a JSON array, expected an object");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["x","y"],"answer":0,"answer":1})") ==
        "q.jsonl:1: question 'line 1' has the key 'answer' twice in one object");
  CHECK(error_of_questions(kGood + "\n" + kGood) == "q.jsonl:2: question 'a' has the id of line 1");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1","2"]})") ==
        "q.jsonl:1: question 'b' has no \"answer\"");
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1","2"],"answer":2})") ==
        "q.jsonl:1: question 'b' \"answer\" is '2', expected a number from 0 to 1 or a letter from A to B");
  CHECK(
      error_of_questions(R"({"id":"b","question":"?","choices":["1","2"],"answer":1e99})").find("expected a number") !=
      std::string::npos);
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1"],"answer":0})").find("at least two") !=
        std::string::npos);
  CHECK(error_of_questions(R"({"id":"b","question":"?","choices":["1",2],"answer":0})") ==
        "q.jsonl:1: question 'b' choice 2 is number, expected text");
  CHECK(error_of_questions(R"({"id":"b","question":"?","answer":0})") == "q.jsonl:1: question 'b' has no \"choices\"");
  CHECK(error_of_questions("{\"id\":\"\xff\"}") == "q.jsonl:1: question 'line 1' is no valid JSON at byte 8");
  CHECK(error_of_questions(R"({"id":"c","context":"x","target":"y"})", TaskKind::cloze) == "");
}

TEST_CASE("answers as question files write them") {
  const auto asked = [](const std::string& answer, const std::string& choices = R"(["red","blue","green"])") {
    const TemporaryFolder folder;
    const auto loaded = load_questions(
        folder.write("q.jsonl", R"({"question":"?","choices":)" + choices + R"(,"answer":)" + answer + "}"),
        TaskKind::multiple_choice);
    return loaded ? loaded->at(0).answer : -1;
  };
  const auto error = [](const std::string& answer, const std::string& choices) {
    return error_of_questions(kGood + "\n" + R"({"question":"?","choices":)" + choices + R"(,"answer":)" + answer +
                              "}");
  };
  for (const char* second : {"1", "1.0", "1e0", "10e-1", "\"1\"", "\"B\"", "\"b\"", "\" B\\n\""}) {
    CAPTURE(second);
    CHECK(asked(second) == 1);
  }
  CHECK(asked("0.0") == 0);
  CHECK(asked("\"C\"") == 2);
  for (const char* none : {"1.5", "-1", "3", "3.0", "1e300", "NaN", "Infinity", "true", "[1]", "{}", "\"\"", "\"D\"",
                           "\"3\"", "\"-1\"", "\"1.0\"", "\"BB\"", "\"blue\"", "18446744073709551617"}) {
    CAPTURE(none);
    CHECK(error(none, R"(["red","blue","green"])").find("expected a number from 0 to 2 or a letter from A to C") !=
          std::string::npos);
  }
  // The letter of one choice and the text of another: ambiguous.
  CHECK(error("\"A\"", R"(["B","A"])") ==
        "q.jsonl:2: question 'line 2' \"answer\" is 'A', which names choice 1 and is the text of choice 2: "
        "expected its number");
  CHECK(error("\"1\"", R"(["1","2","3"])").find("names choice 2 and is the text of choice 1") != std::string::npos);
  CHECK(asked("\"B\"", R"(["A","B"])") == 1);
  CHECK(asked("1", R"(["1","2","3"])") == 1);
}

TEST_CASE("a question file of one's own: default prompt, 3- and 5-choice items, limits") {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("own.jsonl", R"({"id":"1","question":"Q1 ","choices":["a","b","c"],"answer":2})"
                                "\n"
                                R"({"id":"2","question":"Q2","choices":["a","b","c","d","e"],"answer":4})"
                                "\n"
                                R"({"id":"3","question":"Q3","choices":["a","b"],"answer":0})");
  const auto spec = load_task(path);
  REQUIRE(spec.has_value());
  CHECK(spec->name == "own");
  const auto task = prepare(*spec, {});
  REQUIRE(task.has_value());
  const auto& documents = task->subtasks.at(0).documents;
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].contexts == std::vector<std::string>{"Question: Q1 \nAnswer:"});
  CHECK(documents[1].continuations == std::vector<std::string>{" a", " b", " c", " d", " e"});
  CHECK(documents[1].target == "4");
  CHECK(prepare(*spec, {.limit = 2})->question_count() == 2);
  CHECK(prepare(*spec, {.limit = 0.5})->question_count() == 2);  // rounded up
  CHECK(prepare(*spec, {.limit = 99})->question_count() == 3);
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL, -1.0})
    CHECK_FALSE(prepare(*spec, {.limit = wrong}).has_value());
  CHECK_FALSE(prepare(*spec, {.num_fewshot = -1}).has_value());
  CHECK(prepare(*spec, {.num_fewshot = 1}).error().message ==
        "task own has no worked examples: ask it with 0 shots, not 1");
}

TEST_CASE("few-shot examples, subtasks and clusters of a task file") {
  const TemporaryFolder folder;
  folder.write("questions/q.jsonl", R"({"id":"1","subject":"b_b","question":"p\nQ1","choices":["x","y"],"answer":1})"
                                    "\n"
                                    R"({"id":"2","subject":"a","question":"Q2","choices":["x","y"],"answer":0})"
                                    "\n"
                                    R"({"id":"3","subject":"b_b","question":"p\nQ3","choices":["x","y"],"answer":0})");
  folder.write("fewshot/q.jsonl", R"({"id":"s1","subject":"b_b","question":"S1","choices":["u","v"],"answer":1})"
                                  "\n"
                                  R"({"id":"s2","subject":"a","question":"S2","choices":["u","v"],"answer":0})");
  const auto spec = parse_task(
      R"({"task":"t","questions":"q.jsonl","fewshot":{"examples":"q.jsonl"},"description":"On {subject|spaces}.\n\n",
      "prompt":"{question}\nA:","metrics":["acc"],"cluster":"{question|head}","subtasks":{"name":"t_{subject}"}})",
      "t.json");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto task = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  REQUIRE(task->subtasks.size() == 2);
  CHECK(task->subtasks[0].name == "t_b_b");
  CHECK(task->subtasks[0].documents[1].contexts[0] == "On b b.\n\nS1\nA: v\n\np\nQ3\nA:");
  CHECK(task->subtasks[0].documents[0].cluster == task->subtasks[0].documents[1].cluster);
  CHECK(task->subtasks[1].documents[0].contexts[0] == "On a.\n\nS2\nA: u\n\nQ2\nA:");
  const auto too_many = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 2});
  REQUIRE_FALSE(too_many.has_value());
  CHECK(too_many.error().message == "t_b_b: 2 examples asked for, there is 1 with subject 'b_b'");
}

TEST_CASE("random.sample is CPython's, and its state advances from draw to draw") {
  struct Case {
    std::uint64_t seed;
    std::size_t population;
    std::vector<std::vector<std::size_t>> draws;  // printed by CPython 3.11
  };
  const std::vector<Case> cases = {
      {1234ull, 7473, {{6374, 3610, 957, 61, 742}, {7462, 6610, 4769, 286, 5501}, {5677, 687, 806, 6279, 2905}}},
      {1234ull, 21, {{14, 3, 0, 2, 1}, {2, 3, 11, 7, 0}}},
      {1234ull, 22, {{14, 3, 0, 2, 18}, {1, 21, 2, 3, 11}}},
      {7ull, 100, {{41, 19, 50, 83, 6, 9, 68, 12, 46, 74, 7, 64, 27, 4, 11, 55, 53, 8, 30, 70}}},
      {7ull, 277, {{165, 77, 202, 24, 37, 48,  187, 29,  259, 109, 19, 44,  222, 214, 35,
                    123, 46, 217, 30, 63, 114, 31,  147, 149, 101, 12, 249, 56,  11,  142}}},
      {7ull, 278, {{165, 77,  202, 24,  37, 274, 48,  187, 29,  259, 109, 19, 44, 222, 214,
                    35,  123, 46,  217, 30, 63,  114, 31,  203, 25,  113, 23, 68, 148, 73}}},
      {0ull, 1, {{0}, {0}}},
      {1099511627781ull, 60, {{32, 33, 17, 42, 1, 58}, {48, 52, 53, 50, 59, 2}}}};
  for (const Case& c : cases) {
    CAPTURE(c.population);
    PythonRandom random(c.seed);
    for (const auto& draw : c.draws) CHECK(random.sample(c.population, draw.size()) == draw);
  }
}

TEST_CASE("random examples: a new draw for every question, one generator per subtask, never the question itself") {
  const TemporaryFolder folder;
  std::string lines, shots;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    lines += R"({"id":"q)" + n + R"(","question":"Q)" + n + R"(","answer_text":"a)" + n + "\"}\n";
  }
  folder.write("questions/q.jsonl", lines);
  folder.write("fewshot/q.jsonl", lines);
  const auto prepared = [&](const std::string& fewshot, std::int64_t count, std::uint64_t seed) {
    const auto spec =
        parse_task(R"({"task":"t","type":"generation","questions":"q.jsonl","fewshot":)" + fewshot +
                       R"(,"prompt":"{question}","continuation":"{answer_text}","metrics":["exact_match"]})",
                   "t.json");
    REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
    auto task =
        prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = count, .limit = 30, .fewshot_seed = seed});
    REQUIRE_MESSAGE(task.has_value(), task.error().message);
    return std::move(*task);
  };
  const std::string random = R"({"examples":"q.jsonl","rule":"random"})";
  PythonRandom expected(1234);
  const PreparedTask drawn = prepared(random, 2, 1234);
  for (const Document& d : drawn.subtasks[0].documents) {
    std::string text;
    for (std::size_t i : expected.sample(40, 2)) text += "Q" + std::to_string(i) + " a" + std::to_string(i) + "\n\n";
    CHECK(d.contexts[0] == text + QuestionFields::read(d.question)->text("question").value());
  }
  CHECK(prepared(random, 2, 1).subtasks[0].documents[0].contexts != drawn.subtasks[0].documents[0].contexts);
  // Drawn among the questions: one more than asked for, the question itself left out.
  const std::string self = R"({"examples":"self","rule":"random"})";
  PythonRandom again(1234);
  const PreparedTask own = prepared(self, 25, 1234);
  for (std::size_t d = 0; d < own.subtasks[0].documents.size(); ++d) {
    std::string text;
    int used = 0;
    for (std::size_t i : again.sample(40, 26))
      if (i != d && used++ < 25) text += "Q" + std::to_string(i) + " a" + std::to_string(i) + "\n\n";
    CHECK(own.subtasks[0].documents[d].contexts[0] == text + "Q" + std::to_string(d));
  }
}

TEST_CASE("an exam in one file: worked examples by subject, tables by subject and tier") {
  const TemporaryFolder folder;
  const auto line = [](const char* id, const char* subject, const char* tier, const char* more) {
    return fmt::format(R"({{"id":"{}","subject":"{}","tier":{},"question":"{}?","choices":["x","y"],"answer":0{}}})",
                       id, subject, tier, id, more) +
           "\n";
  };
  const std::string text = line("d1", "law", "1", R"(,"split":"dev")") + line("q1", "law", "10", "") +
                           line("q2", "art", "9", R"(,"split":"test")") + line("d2", "art", "1", R"(,"split":"dev")") +
                           line("q3", "law", "9", "");
  const std::string path = folder.write("exam.jsonl", text);
  const auto spec = load_task(path);
  const auto plain = prepare(*spec, {});
  REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
  CHECK(plain->question_count() == 3);
  const auto task = prepare(*spec, {.num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  const auto& documents = task->subtasks[0].documents;
  CHECK(documents[0].contexts[0] == "Question: d1?\nAnswer: x\n\nQuestion: q1?\nAnswer:");
  CHECK(documents[1].contexts[0] == "Question: d2?\nAnswer: x\n\nQuestion: q2?\nAnswer:");
  CHECK(documents[2].contexts[0] == "Question: d1?\nAnswer: x\n\nQuestion: q3?\nAnswer:");
  CHECK(prepare(*spec, {.num_fewshot = 2}).error().message ==
        "exam: 2 examples asked for, there is 1 with subject 'law'");

  // q1 and q2 right, q3 wrong.
  class Scorer : public LanguageModel {
   public:
    moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
      std::vector<Score> scores(requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i)
        scores[i].log_likelihood = (requests[i].question == "q3") == (requests[i].continuation == " y") ? -1 : -2;
      return scores;
    }
  } model;
  const auto outcome = evaluate(*task, model);
  REQUIRE(outcome.has_value());
  REQUIRE(outcome->breakdowns.size() == 2);
  CHECK(outcome->breakdowns[0].field == "subject");
  CHECK(outcome->breakdowns[0].rows[0].name == "law");
  CHECK(outcome->breakdowns[0].rows[0].metrics[0].value == 0.5);
  CHECK(outcome->breakdowns[1].rows[0].name == "9");  // numbers rise: 9 before 10
  CHECK(outcome->breakdowns[1].rows[0].question_count == 2);
  CHECK(outcome->breakdowns[1].rows[1].metrics[0].value == 1);
  RunReport report;
  report.tasks.push_back(*task);
  ModelRun run;
  run.name = "m";
  run.outcomes.push_back(*outcome);
  report.models.push_back(run);
  const std::string tables = render_tables(report);
  for (const char* row :
       {"acc % ± SE by subject  questions", "acc % ± SE by tier  questions", "\nlaw ", "\n9 ", "\n10 "})
    CHECK_MESSAGE(tables.find(row) != std::string::npos, tables);

  CHECK(load_task(folder.write("only.jsonl", line("d1", "law", "1", R"(,"split":"dev")"))).has_value());
  CHECK(prepare(*load_task((folder.dir / "only.jsonl").string()), {})
            .error()
            .message.find("only.jsonl holds examples only, no question") != std::string::npos);
  CHECK(error_of_questions(line("q", "law", "1", R"(,"split":"dve")")) ==
        "q.jsonl:1: question 'q' \"split\" is 'dve', expected test or validation (asked), dev, train or fewshot "
        "(examples)");
  // The same with examples in a separate file, named by a task file next to both.
  folder.write("dev.jsonl", line("e1", "law", "1", "") + line("e2", "art", "1", ""));
  const auto beside = load_task(folder.write("t.json", R"({"task":"t","questions":"./exam.jsonl","fewshot":{"examples":
    "./dev.jsonl","match":"subject"},"prompt":"{question}","metrics":["acc"],"group_by":["tier"]})"));
  REQUIRE_MESSAGE(beside.has_value(), beside.error().message);
  const auto other = prepare(*beside, {.num_fewshot = 1});
  REQUIRE_MESSAGE(other.has_value(), other.error().message);
  CHECK(other->subtasks[0].documents[1].contexts[0] == "e2? x\n\nq2?");
}

TEST_CASE("the fields that name and sort a question have a type") {
  const std::string rest = R"(,"choices":["x","y"],"answer":0})";
  CHECK(error_of_questions(R"({"split":["dev"])" + rest).find("\"split\" is array, expected test or") !=
        std::string::npos);
  CHECK(error_of_questions(R"({"split":1)" + rest).find("\"split\" is number") != std::string::npos);
  CHECK(error_of_questions(R"({"id":["a"])" + rest) ==
        "q.jsonl:1: question 'line 1' \"id\" is array, expected text or "
        "a number");
  CHECK(error_of_questions(R"({"id":7,"subject":{})" + rest) ==
        "q.jsonl:1: question '7' \"subject\" is object, expected text or a number");
  CHECK(error_of_questions(R"({"subject":true)" + rest).find("\"subject\" is boolean") != std::string::npos);
  CHECK(error_of_questions(R"({"id":null,"subject":3,"split":null)" + rest).empty());
  CHECK(error_of_questions(R"({"id":1)" + rest + "\n" + R"({"id":"1")" + rest) ==
        "q.jsonl:2: question '1' has the id of line 1");
}

TEST_CASE("lists of a task file have at most as many entries as a task can use") {
  const auto refused = [](const std::string& key, const std::string& element, int count,
                          const std::string& after = "") {
    std::string text = R"({"task":"t","type":"generation","questions":"q","prompt":"p","continuation":"c","metrics":)"
                       R"(["exact_match"],)" +
                       key;
    for (int i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + fmt::format(fmt::runtime(element), i);
    const auto task = parse_task(text + after + "}", "t.json");
    return task ? std::string() : task.error().message;
  };
  struct List {
    const char *key, *element, *after;
    int most;
  };
  for (const List& list : std::vector<List>{
           {"\"labels\":[", "\"{}\"", "]", 1024},
           {"\"until\":[", "\"{}\"", "]", 64},
           {"\"group_by\":[", "\"{}\"", "]", 64},
           {R"("filters":[{"name":"f","steps":[)", R"({{"function":"lowercase"}})", "]}]", 64},
           {R"("filters":[{"name":"f","steps":[{"function":"map","mapping_dict":{)", R"("{}":"")", "}}]}]", 4096},
           {R"("exact_match":{"regexes_to_ignore":[)", "\"{}\"", "]}", 64},
           {R"("subtasks":{"name":"t_{subject}","titles":{)", R"("{}":"")", "}}", 4096},
           {R"("subtasks":{"name":"t"},"groups":[{"name":"g","subjects":[)", "\"{}\"", "]}]", 4096},
           {R"("subtasks":{"name":"t"},"groups":[)", R"({{"name":"{}","subjects":[]}})", "]", 256}}) {
    CAPTURE(std::string(list.key));
    CHECK(refused(list.key, list.element, list.most, list.after) == "");
    const std::string says = refused(list.key, list.element, list.most + 20'000, list.after);
    CHECK_MESSAGE(says.find("expected at most " + std::to_string(list.most)) != std::string::npos, says);
  }
  CHECK(error_of_template(1024).empty());
  CHECK(error_of_template(1025).find("more than 1024 pieces") != std::string::npos);
}

TEST_CASE("metrics: first maximum, code points, greedy, NaN refused") {
  TaskSpec task;
  task.metrics = {Metric::acc, Metric::acc_norm};
  Document document;
  document.question.answer = 1;
  document.lengths = {2, 4, 1};
  const auto scored = [&](std::vector<double> lls) {
    std::vector<Score> scores(lls.size());
    for (std::size_t i = 0; i < lls.size(); ++i) scores[i].log_likelihood = lls[i];
    return score_document(task, document, scores);
  };
  CHECK(scored({-4, -5, -3})->prediction == 2);
  CHECK(scored({-4, -5, -3})->metrics == std::vector<double>{0, 1});
  const auto tie = scored({-2, -1, -1});
  CHECK(tie->prediction == 1);
  CHECK(tie->tied);
  const auto bad = scored({-2, std::nan(""), -1});
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().code == moe::ErrorCode::non_finite);

  TaskSpec cloze;
  cloze.kind = TaskKind::cloze;
  cloze.metrics = {Metric::perplexity, Metric::acc};
  Score greedy;
  greedy.log_likelihood = -1.5, greedy.is_greedy = true;
  CHECK(score_document(cloze, document, {greedy})->metrics == std::vector<double>{-1.5, 1});
}

TEST_CASE("a generation task: one prompt per question, the reply is compared with the target") {
  const TemporaryFolder folder;
  folder.write("questions/q.jsonl", R"({"id":"1","question":"Q1","choices":["x","y"],"answer":1})");
  folder.write("fewshot/q.jsonl", R"({"id":"s1","question":"S1","choices":["u","v"],"answer":0})");
  const auto spec = parse_task(
      R"({"task":"t","type":"generation","questions":"q.jsonl","fewshot":{"examples":"q.jsonl"},"prompt":"{question}\nA:",
      "continuation":"{label}","labels":["A","B"],"until":["\n"],"max_tokens":8,"metrics":["exact_match"]})",
      "t.json");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  const auto task = prepare(*spec, {.data_dir = folder.dir.string(), .num_fewshot = 1});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  const Document& document = task->subtasks[0].documents[0];
  CHECK(document.contexts == std::vector<std::string>{"S1\nA: A\n\nQ1\nA:"});
  CHECK(document.continuations.empty());
  CHECK(document.target == "B");

  // Prompts, and processing of replies.
  class Writer : public LanguageModel {
   public:
    moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
      CHECK(requests.empty());
      return std::vector<Score>();
    }
    moe::Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks&) override {
      REQUIRE(requests.size() == 1);
      CHECK(requests[0].stop.size() == 1);
      CHECK(requests[0].max_tokens == 8);
      Generation reply;
      reply.text = text, reply.truncated = true;
      return std::vector<Generation>{reply};
    }
    std::string text = "B";
  } writer;
  const auto right = evaluate(*task, writer);
  REQUIRE(right.has_value());
  CHECK(right->overall.metrics[0].value == 1);
  CHECK(right->truncated == 1);
  writer.text = "A";
  CHECK(evaluate(*task, writer)->overall.metrics[0].value == 0);
}

}  // namespace eval_task_test
