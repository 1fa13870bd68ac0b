#pragma once
// A small tokenizer.json, to be changed; and the error that a changed one gives.

#include "unit/tokenizer_support.hpp"

namespace tokenizer_json_support {

using namespace moe_test;
using moe::ErrorCode;
using nlohmann::json;

inline json small_json() {
  const auto v = small_vocabulary("gpt-2", {"h e", "l l", "he ll", "hell o", "a b"});
  json file =
      json::parse(R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false, "ignore_merges": false}})");
  for (std::size_t id = 0; id < v.tokens.size(); ++id) file["model"]["vocab"][v.tokens[id]] = id;
  file["model"]["merges"] = v.merges;
  return file;
}

inline json added_token(int id, const std::string& content, const json& flags = json::object()) {
  json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  token.update(flags);
  return token;
}

inline SharedTokenizer load(const json& file, const std::string& config = {}) {
  return must(moe::Tokenizer::create(moe::JsonTokenizer{file.dump(), config}));
}

inline moe::Error error_of(const std::string& text, const std::string& config = {}) {
  const auto made = moe::Tokenizer::create(moe::JsonTokenizer{text, config});
  return made ? moe::Error{ErrorCode::internal, "it loaded"} : made.error();
}

inline void check_error(const std::string& text, ErrorCode code, const std::string& part,
                        const std::string& config = {}) {
  const moe::Error error = error_of(text, config);
  CHECK_MESSAGE(error.code == code, error.message);
  CHECK_MESSAGE(error.message.find(part) != std::string::npos, error.message);
  CHECK(error.message.find('\n') == std::string::npos);
}

inline void check_error(const json& file, ErrorCode code, const std::string& part, const std::string& config = {}) {
  check_error(file.dump(), code, part, config);
}

}  // namespace tokenizer_json_support
