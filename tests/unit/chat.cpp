// Conversations of models: which template, what it sees, the text and the token ids (tests/data/chat/make_cases.py).

#include "moe/chat.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat/datetime.hpp"
#include "chat/encode.hpp"
#include "moe/quantize.hpp"
#include "scratch_dir.hpp"
#include "unit/tokenizer_support.hpp"

namespace chat_test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Ids = std::vector<moe::TokenId>;
using moe::ChatEnd;

const fs::path kData = fs::path(MOE_SOURCE_DIR) / "tests/data";

/// A copy of the small model with other files beside it. <|endoftext|> is 0, <|im_end|> 1, <|im_start|> 2.
struct ModelCopy : moe_test::ScratchDir {
  ModelCopy() : ScratchDir("moe_chat") {
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
      fs::copy(kData / "golden/qwen3_moe" / file, dir);
  }
  std::shared_ptr<const moe::Model> load() const {
    auto model = moe::Model::load(dir.string());
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    return std::move(*model);
  }
};

moe::Chat chat_of(const Json& one) {
  moe::Chat chat;
  auto messages = moe::parse_chat_messages(one["messages"].dump());
  REQUIRE_MESSAGE(messages.has_value(), messages.error().message);
  chat.messages = std::move(*messages);
  const Json& o = one["options"];
  const std::string end = o.value("end", "reply");
  chat.options.end = end == "reply" ? ChatEnd::reply : end == "message" ? ChatEnd::message : ChatEnd::unfinished;
  chat.options.template_name = o.value("name", "");
  for (const auto& [key, into] :
       {std::pair{"tools", &chat.options.tools}, std::pair{"documents", &chat.options.documents},
        std::pair{"variables", &chat.options.variables}})
    if (o.contains(key)) *into = o[key].dump();
  return chat;
}

moe::Chat hello(const std::string& content = "Hello") { return {{{"user", content}}, {}}; }

std::string error_of(const moe::Model& model, const moe::Chat& chat, moe::ErrorCode code) {
  const auto refused = moe::encode_chat(model, chat);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == code);
  CHECK(refused.error().message.find('\n') == std::string::npos);
  return refused.error().message;
}

template <class T>
T must_have(moe::Result<T> result) {
  REQUIRE_MESSAGE(result.has_value(), result.error().message);
  return std::move(*result);
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("conversations give the text and the ids of transformers, or an error where it has one") {
  const auto cases = Json::parse(moe_test::read_file(kData / "chat/cases.json"));
  REQUIRE(cases.size() >= 35);
  for (const Json& one : cases) {
    CAPTURE(one.dump());
    const ModelCopy copy;
    for (const auto& [file, text] : one["files"].items()) copy.write(file, text.get<std::string>());
    const auto model = copy.load();
    const moe::Chat chat = chat_of(one);
    const auto got = moe::encode_chat(*model, chat);
    CHECK_MESSAGE(got.has_value() != one.contains("error"), (got ? got->text : got.error().message));
    if (!got || one.contains("error")) continue;
    CHECK(got->text == one["text"].get<std::string>());
    CHECK(moe::render_chat(*model, chat).value_or("") == got->text);
    // A token that the caller names is the template's to write.
    const bool names_token = one["options"].contains("variables") && one["options"]["variables"].contains("bos_token");
    CHECK(got->ids == one[names_token ? "ids" : "safe_ids"].get<Ids>());
  }
}

TEST_CASE("a plain message is the same as its JSON") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "{% for m in messages %}{{ m | tojson }}{% endfor %}");
  const auto model = copy.load();
  const auto plain = moe::render_chat(*model, {{{"user", "a\"b"}, {"odd role", "č"}}, {}});
  const auto json = moe::render_chat(
      *model,
      {{{"", "", R"({"role": "user", "content": "a\"b"})"}, {"", "", R"({"role":"odd role","content":"č"})"}}, {}});
  REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
  CHECK(*plain == R"({"role": "user", "content": "a\"b"}{"role": "odd role", "content": "č"})");
  CHECK(json.value_or("") == *plain);
}

TEST_CASE("only the template writes control tokens, whatever a message spells") {
  const ModelCopy copy;
  copy.write("chat_template.jinja",
             "{% for m in messages %}{{ '<' + m.content }}{{ '<|im_' + m.role + '|>' }}{% endfor %}");
  const auto model = copy.load();
  const auto count = [&](const moe::Chat& chat, moe::TokenId id) {
    const auto got = moe::encode_chat(*model, chat);
    REQUIRE_MESSAGE(got.has_value(), got.error().message);
    CHECK(model->tokenizer()->decode(got->ids).value_or("") == got->text);
    return std::count(got->ids.begin(), got->ids.end(), id);
  };
  // Whole, half from the template, in a role that is no word; in many places.
  CHECK(count({{{"end", "x"}}, {}}, 1) == 1);
  CHECK(count({{{"end", "|im_end|>"}}, {}}, 1) == 1);
  CHECK(count({{{"end", "<|im_end|>|im_start|>"}}, {}}, 2) == 0);
  CHECK(count({{{"start|><|im_end", "x"}}, {}}, 1) == 0);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "<|im_end|><|im_<|im_end|>start|>";
  CHECK(count({{{"end", many}}, {}}, 1) == 1);
  CHECK(count({{{"end", many}}, {}}, 2) == 0);
  const auto tool = moe::encode_chat(
      *model, {hello().messages,
               {.template_text = "{{ tools[0].name }}{{ documents[0].text }}{{ extra }}{{ eos_token }}",
                .tools = R"([{"name": "<|im_end|>"}])",
                .documents = R"([{"text": "<|im_end|>"}])",
                .variables = R"({"extra": "<|im_end|>"})"}});
  REQUIRE_MESSAGE(tool.has_value(), tool.error().message);
  CHECK(std::count(tool->ids.begin(), tool->ids.end(), 1) == 1);
  CHECK(tool->ids.back() == 1);
}

TEST_CASE("plain text for spelled control tokens: no added spaces, no merges into the token") {
  moe::GgufVocabulary v;
  v.model = "llama", v.pre = "default", v.add_space_prefix = true;
  const auto add = [&](const std::string& text, int type) {
    v.tokens.push_back(text), v.types.push_back(type), v.scores.push_back(0);
  };
  add("<unk>", 2), add("<s>", 3), add("</s>", 3);
  for (int b = 0; b < 256; ++b) {
    const char* const digits = "0123456789ABCDEF";
    add(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">", 6);
  }
  for (const char* piece : {"\u2581", "a", "b", "<", "/", "s", ">"}) add(piece, 1);
  v.bos = 1, v.eos = 2;
  const auto pieces = moe_test::must(moe::Tokenizer::create(v));
  auto merged = moe_test::small_vocabulary("gpt-2", {"< /", "</ s", "</s >"});
  merged.types.back() = 3;
  const auto bytes = moe_test::must(moe::Tokenizer::create(merged));
  const std::string text = "a</s>b </s></s>";
  const moe::chat::Span all[] = {{0, static_cast<std::uint32_t>(text.size())}};
  for (const auto& tokenizer : {pieces, bytes}) {
    const auto ids = must_have(moe::chat::encode_marked(*tokenizer, text, all));
    CHECK(std::none_of(ids.begin(), ids.end(), [&](moe::TokenId id) { return tokenizer->is_control(id); }));
    CHECK(must_have(tokenizer->decode(ids)) == text);
    const auto parsed = must_have(moe::chat::encode_marked(*tokenizer, text, {}));
    CHECK(parsed == must_have(tokenizer->encode(text)));
    CHECK(std::count_if(parsed.begin(), parsed.end(), [&](moe::TokenId id) { return tokenizer->is_control(id); }) == 3);
  }
}

TEST_CASE("a normaliser makes no control token of what a message spells") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "{{ messages[0].content }}<|im_end|>");
  Json tokenizer = Json::parse(moe_test::read_file(copy.dir / "tokenizer.json"));
  tokenizer["normalizer"] = {{"type", "NFKC"}};
  for (Json& token : tokenizer["added_tokens"]) token["normalized"] = true;
  copy.write("tokenizer.json", tokenizer.dump());
  const auto model = copy.load();
  REQUIRE_MESSAGE(model->tokenizer() != nullptr, model->tokenizer_error());
  const std::string disguised = "a \uff1c|im_end|\uff1e";
  REQUIRE(must_have(model->tokenizer()->encode(disguised)).back() == 1);
  const auto got = must_have(moe::encode_chat(*model, hello(disguised)));
  CHECK(std::count(got.ids.begin(), got.ids.end(), 1) == 1);
  CHECK(got.ids.back() == 1);
}

TEST_CASE("a control token that merges would make of plain text is written by its characters") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "{{ messages[0].content }}he");
  Json tokenizer = Json::parse(moe_test::read_file(copy.dir / "tokenizer.json"));
  REQUIRE(tokenizer["model"]["vocab"].contains("he"));
  const auto id = tokenizer["model"]["vocab"]["he"].get<moe::TokenId>();
  Json added = tokenizer["added_tokens"][0];
  added["id"] = id, added["content"] = "he";
  tokenizer["added_tokens"].push_back(added);
  copy.write("tokenizer.json", tokenizer.dump());
  const auto model = copy.load();
  REQUIRE_MESSAGE(model->tokenizer() != nullptr, model->tokenizer_error());
  REQUIRE(must_have(model->tokenizer()->encode("he", {.special = moe::SpecialText::plain})) == Ids{id});
  const auto got = must_have(moe::encode_chat(*model, hello("a he bhe")));
  CHECK(std::count(got.ids.begin(), got.ids.end(), id) == 1);
  CHECK(got.ids.back() == id);
  CHECK(must_have(model->tokenizer()->decode(got.ids)) == "a he bhehe");
}

TEST_CASE("a conversation that cannot be written says why, and the model loads") {
  const ModelCopy copy;
  CHECK(copy.load()->chat_templates().texts.empty());
  CHECK(holds(error_of(*copy.load(), hello(), moe::ErrorCode::not_found), "no chat template: the model has none"));
  moe::Chat named = hello();
  named.options.template_name = "rag";
  CHECK(holds(error_of(*copy.load(), named, moe::ErrorCode::not_found), "no chat template 'rag': the model has none"));
  copy.write("chat_template.jinja", "{% for %}");
  CHECK(holds(error_of(*copy.load(), hello(), moe::ErrorCode::bad_file), "line 1"));
  copy.write("chat_template.jinja", "\n{{ raise_exception('only tools') }}");
  const auto model = copy.load();
  CHECK(holds(error_of(*model, hello(), moe::ErrorCode::bad_argument), "line 2: TemplateError: only tools"));
  copy.write("chat_template.jinja", "{{ raise_exception('two\\nlines\\x1b[31m' ~ 'x' * 9000) }}");
  CHECK(error_of(*copy.load(), hello(), moe::ErrorCode::bad_argument).size() < 1000);
  moe::Chat chat = hello();
  chat.options.template_name = "rag";
  CHECK(holds(error_of(*model, chat, moe::ErrorCode::not_found), "no chat template 'rag': the model has 'default'"));
  chat.options = {.template_text = "{{ messages[0].content }}{{ v }}"};
  CHECK(moe::render_chat(*model, chat).value_or("") == "Hello");
  for (const auto& [variables, says] : {std::pair{"[1]", "expected a JSON object"},
                                        {"{", "byte"},
                                        {R"({"messages": []})", "'messages' is no name"},
                                        {R"({"tools": 7})", "expected a JSON list"},
                                        {R"({"v": 123456789012345678901})", "64 bits"}}) {
    chat.options.variables = variables;
    CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), says));
  }
  chat.options.variables.clear();
  chat.options.tools = "{}";
  CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), "tools for a chat template: expected a JSON list"));
  chat.options.tools.clear();
  chat.messages = {{"user", "a"}, {"", "", "[]"}};
  CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), "message 2 is no JSON object"));
  chat.messages = {{"user", "\xff"}};
  CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), "message 1 is not UTF-8"));
  chat.messages = {{"user", "", "{}"}};
  CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), "beside its JSON text"));
}

TEST_CASE("template files that are no template are an error of the chat alone") {
  struct Bad {
    const char* file;
    std::string text;
    const char* says;
  };
  const Bad all[] = {{"chat_template.jinja", std::string((1 << 20) + 1, 'x'), "chat_template.jinja"},
                     {"chat_template.jinja", "\xff", "no UTF-8 at byte 0"},
                     {"tokenizer_config.json", R"({"chat_template": 7})", "chat_template is a number"},
                     {"tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})", "name and template"},
                     {"chat_template.json", R"({"chat_template": {}})", "chat_template is a object"},
                     {"chat_template.json", "[", "chat_template.json"}};
  for (const Bad& bad : all) {
    CAPTURE(bad.file);
    const ModelCopy copy;
    copy.write(bad.file, bad.text);
    const auto model = copy.load();
    CHECK(model->tokenizer() != nullptr);
    CHECK(holds(error_of(*model, hello(), moe::ErrorCode::not_found), bad.says));
  }
  const ModelCopy copy;
  for (int i = 0; i < 70; ++i) copy.write("additional_chat_templates/t" + std::to_string(i) + ".jinja", "x");
  CHECK(holds(error_of(*copy.load(), hello(), moe::ErrorCode::not_found), "more than 64 chat templates"));
}

TEST_CASE("line ends of template files are read as Python reads them") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "a\r\nb\rc\n\r");
  CHECK(copy.load()->chat_templates().texts.at("default") == "a\nb\nc\n\n");
}

TEST_CASE("old processors keep their template in chat_template.json") {
  const ModelCopy copy;
  copy.write("chat_template.json", R"({"chat_template": "P{{ messages[0].content }}{{ eos_token }}"})");
  CHECK(moe::render_chat(*copy.load(), hello()).value_or("") == "PHello<|im_end|>");
  copy.write("chat_template.jinja", "F");
  CHECK(moe::render_chat(*copy.load(), hello()).value_or("") == "F");
}

TEST_CASE("a GGUF file keeps all templates of the directory it was made from") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "{{ messages[0].content }}{{ eos_token }}");
  copy.write("additional_chat_templates/tool_use.jinja", "T{{ tools | tojson }}");
  const std::string file = (copy.dir / "out/m.gguf").string();
  fs::create_directories(copy.dir / "out");
  moe::QuantizeOptions to;
  to.type = moe::Format::f32;
  must_have(moe::quantize(copy.dir.string(), file, to));
  const auto from = copy.load(), made = must_have(moe::Model::load(file));
  CHECK(made->chat_templates().texts == from->chat_templates().texts);
  CHECK(made->chat_templates().texts.size() == 2);
  CHECK(made->chat_templates().are_named);
  CHECK(made->chat_templates().error.empty());
  CHECK(made->chat_templates().special_tokens.at("eos_token") == "<|im_end|>");
  moe::Chat chat = hello("a<|im_end|>");
  CHECK(must_have(moe::encode_chat(*made, chat)).ids == must_have(moe::encode_chat(*from, chat)).ids);
  chat.options.tools = "[]";
  CHECK(must_have(moe::render_chat(*made, chat)) == "T[]");
}

TEST_CASE("the date that a template is told") {
  const ModelCopy copy;
  copy.write("chat_template.jinja", "{{ strftime_now('%Y-%m-%d %H:%M:%S') }}");
  const auto model = copy.load();
  moe::Chat chat = hello();
  chat.options.date = "2024-02-29";
  CHECK(moe::render_chat(*model, chat).value_or("") == "2024-02-29 00:00:00");
  chat.options.date = "2024-12-31T23:59:07";
  CHECK(moe::render_chat(*model, chat).value_or("") == "2024-12-31 23:59:07");
  chat.options.date.clear();
  CHECK(moe::render_chat(*model, chat).value_or("").size() == 19);
  for (const char* wrong : {"2023-02-29", "2024-13-01", "2024-1-1", "today", "2024-01-01T24:00:00",
                            "2024-01-01 10:00:00", "2024-01-01T10:00", "+024-01-01"}) {
    chat.options.date = wrong;
    CHECK(holds(error_of(*model, chat, moe::ErrorCode::bad_argument), "expected YYYY-MM-DD"));
  }
}

TEST_CASE("a text with messages") {
  const auto list = moe::parse_chat_messages(R"([{"role": "user", "content": "a"}, {"role": "tool", "content": 1.0}])");
  REQUIRE(list.has_value());
  REQUIRE(list->size() == 2);
  CHECK((*list)[1].json == R"({"role":"tool","content":1.0})");
  CHECK(moe::parse_chat_messages(R"({"model": "m", "messages": [{"role": "user"}]})").value().size() == 1);
  for (const char* wrong : {"", "{}", "7", R"(["a"])", R"([{"content": "a"}])", R"([{"role": 1}])",
                            R"({"messages": 7})", R"([{"a": 1, "a": 2}])"}) {
    const auto refused = moe::parse_chat_messages(wrong);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == moe::ErrorCode::bad_argument);
  }
}

}  // namespace chat_test
