// Task files and templates: what they accept, and the one line they say when they do not.

#include <fmt/format.h>

#include <string>

#include "eval/tasks/template.hpp"
#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"

namespace eval_task_test {

using namespace moe::eval;

namespace {

std::string error_of_template(int pieces) {
  std::string text;
  for (int i = 0; i < pieces; ++i) text += "{a}";
  const auto parsed = Template::parse(text);
  return parsed ? "" : parsed.error().message;
}

std::string error(const std::string& json) {
  const auto task = parse_task(json, "t.json");
  return task ? std::string() : task.error().message;
}

/// Of a task of type generation that has the keys `rest` as well.
std::string error_with(const std::string& rest) {
  return error(
      R"({"task":"t","type":"generation","questions":"q","prompt":"p","continuation":"c","metrics":["exact_match"],)" +
      rest + "}");
}

std::string error_of_steps(const std::string& steps) {
  return error_with(R"("filters":[{"name":"f","steps":[)" + steps + "]}]");
}

}  // namespace

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
  const auto unknown = load_task("mmlo");
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().message.find("unknown task 'mmlo' (known: arc_challenge, arc_easy") == 0);
  CHECK(load_task("nowhere.json").error().code == moe::ErrorCode::not_found);
}

TEST_CASE("bad filters give one line") {
  CHECK(error_of_steps(R"({"function":"take_first"})") == "");
  CHECK(error_of_steps(R"({"function":"regex","regex_pattern":"(a"})") ==
        "t.json: filter f: pattern '(a': missing closing parenthesis (at byte 2)");
  CHECK(error_of_steps(R"({"function":"regex"})") == "t.json: key 'regex_pattern' is missing");
  CHECK(error_of_steps(R"({"function":"judge"})").find("t.json: filters: unknown function 'judge' (known: regex, ") ==
        0);
  CHECK(error_of_steps(R"({"function":"take_first","k":2})") ==
        "t.json: filters: take_first: unknown key 'k' (known: function)");
  CHECK(error_of_steps(R"({"function":"take_first_k","k":0})").find("key 'k' is '0', expected a whole number from 1") !=
        std::string::npos);
  CHECK(error_of_steps(R"({"function":"regex","regex_pattern":"a","group_select":"1"})")
            .find("expected a whole number") != std::string::npos);
  CHECK(error_of_steps(R"("take_first")") == "t.json: filters: a step of 'f' is no object");
  CHECK(error_of_steps(R"({"function":"map"})") == "t.json: filters: map has no mapping_dict");
  // There is one reply to each question: chains are followed before any is asked.
  CHECK(error_of_steps(R"({"function":"take_first_k","k":1})") == "");
  CHECK(error_of_steps(R"({"function":"take_first_k","k":2})") ==
        "t.json: filter f: take_first_k: 2 replies asked for, there is 1");
  CHECK(error_of_steps(R"({"function":"lowercase"},{"function":"majority_vote"},{"function":"take_first_k","k":3})")
            .find("take_first_k: 3 replies asked for") != std::string::npos);
  CHECK(error_of_steps(R"({"function":"lowercase"},{"function":"regex","regex_pattern":"(a"})").find("pattern '(a'") !=
        std::string::npos);
  CHECK(error_with(R"("filters":[])") == "t.json: key 'filters' is no list of filters");
  CHECK(error_with(R"("filters":[{"name":"f","steps":[]},{"name":"f","steps":[]}])") ==
        "t.json: filters: two are called 'f'");
}

TEST_CASE("bad keys of replies give one line") {
  CHECK(error_with(R"("until":[""])") == "t.json: until: an empty text would end every reply at once");
  CHECK(error_with(R"("max_tokens":0)").find("expected a whole number from 1 to ") != std::string::npos);
  CHECK(error_with(R"("exact_match":{"ignore_case":1})") ==
        "t.json: key 'ignore_case' is number, expected true or false");
  CHECK(error_with(R"("exact_match":{"regexes_to_ignore":["["]})").find("t.json: exact_match: pattern '[': ") == 0);
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"until":["x"]})") ==
        "t.json: key 'until' is for tasks of type generation");
}

TEST_CASE("names that would meet in the results are refused") {
  CHECK(error(R"({"task":"","questions":"q","prompt":"p","metrics":["acc"]})") == "t.json: key 'task' is empty");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc","acc_norm","acc"]})") ==
        "t.json: metrics names 'acc' twice");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"group_metrics":["acc","acc"]})") ==
        "t.json: group_metrics names 'acc' twice");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"group_by":["a","b","a"]})") ==
        "t.json: group_by names 'a' twice");
  const auto groups = [](const char* list) {
    return error((R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"subtasks":{"name":"{subject}"},)"
                  R"("groups":)" +
                  std::string(list) + "}"));
  };
  CHECK(groups(R"([{"name":"g","subjects":["a"]},{"name":"h","subjects":["b"]}])") == "");
  CHECK(groups(R"([{"name":"g","subjects":["a"]},{"name":"g","subjects":["b"]}])") ==
        "t.json: groups: two are called 'g'");
  CHECK(groups(R"([{"name":"t","subjects":["a"]}])") ==
        "t.json: groups: 't' is the task's own name, which stands for all");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["acc"],"subtasks":{"name":"{subject}"},)"
              R"("groups":[{"name":"g","subject":["a"]}]})")
            .find("t.json: groups: unknown key 'subject'") == 0);
}

TEST_CASE("metrics and keys that are not for a task's type are refused") {
  CHECK(error(R"({"task":"t","questions":"q","prompt":"p","metrics":["bits_per_byte"]})") ==
        "t.json: metric bits_per_byte is not for tasks of type multiple_choice");
  CHECK(error(R"({"task":"t","type":"rolling","questions":"q","continuation":"{text}","metrics":["acc"]})") ==
        "t.json: metric acc is not for tasks of type rolling");
  CHECK(error(R"({"task":"t","type":"rolling","questions":"q","prompt":"p","continuation":"c","metrics":["acc"]})") ==
        "t.json: key 'prompt' is not for tasks of type rolling");
  CHECK(error(R"({"task":"t","questions":"q","prompt":"{choice}","continuation":"c","metrics":["acc_mutual_info"]})")
            .find("t.json: metric acc_mutual_info needs one prompt for all answers") == 0);
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

}  // namespace eval_task_test
