// GGUF files of every family: ours are those of llama.cpp's converter tensor by tensor (tests/data/gguf holds what it made
// of the golden models), every layout of experts and attention gives the same bits, and what is wrong is named.

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "golden/gguf_files.hpp"

namespace gguf_test {

namespace {

using namespace gguf_files;
using nlohmann::json;

std::string hash_of(const std::string& bytes) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char byte : bytes) h = (h ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return fmt::format("{:016x}", h);
}

void check_metadata(const moe::checkpoint::MetaValue* found, const json& expected) {
  REQUIRE(found != nullptr);
  if (const auto* n = std::get_if<std::uint64_t>(found)) {
    CHECK(*n == expected.get<std::uint64_t>());
  } else if (const auto* b = std::get_if<bool>(found)) {
    CHECK(*b == expected.get<bool>());
  } else if (const auto* text = std::get_if<std::string>(found)) {
    CHECK(*text == expected.get<std::string>());
  } else if (const auto* list = std::get_if<std::vector<std::int64_t>>(found)) {
    CHECK(*list == expected.get<std::vector<std::int64_t>>());
  } else if (const auto* flags = std::get_if<std::vector<bool>>(found)) {
    CHECK(*flags == expected.get<std::vector<bool>>());
  } else {
    const auto* x = std::get_if<double>(found);
    REQUIRE(x != nullptr);
    CHECK(std::abs(*x - expected.get<double>()) <= 1e-6 * std::abs(*x));
  }
}

void check_layout(const std::string& path, const json& expected) {
  const auto opened = moe::checkpoint::open(path);
  REQUIRE(opened.has_value());
  for (const auto& item : expected["metadata"].items()) {  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(item.key());
    check_metadata((*opened)->meta(item.key()), item.value());
  }
  const File file = read_gguf(path);
  const std::set<std::string> left_out = {"token_embd.weight"};  // of Gemma
  for (const auto& tensor : file.tensors) {
    const std::string& name = tensor.first;
    CAPTURE(name);
    CHECK((expected["tensors"].contains(name) || left_out.count(name) == 1));
  }
  for (const auto& [key, t] : expected["tensors"].items()) {
    const std::string& name = key;
    CAPTURE(name);
    const auto found = file.tensors.find(name);
    REQUIRE(found != file.tensors.end());
    CHECK(found->second.shape == t["shape"].get<std::vector<std::int64_t>>());
    if (!t["fnv1a"].is_null()) CHECK(hash_of(found->second.bytes) == t["fnv1a"].get<std::string>());
  }
}

std::string name_of(const char* pattern, std::int64_t layer) {
  std::string name = pattern;
  name.replace(name.find('#'), 1, std::to_string(layer));
  return name;
}

/// The rows of expert e, or of all tensors one after the other.
Tensor slice(const Tensor& all, std::int64_t e) {
  const std::size_t size = all.bytes.size() / static_cast<std::size_t>(all.shape[0]);
  return {{all.shape[1], all.shape[2]}, all.bytes.substr(static_cast<std::size_t>(e) * size, size)};
}
void append_rows(Tensor& to, const Tensor& from) {
  to.shape[0] += from.shape[0];
  to.bytes += from.bytes;
}

/// Experts one by one, as files had them before 2024.
bool split_experts(File& file, std::int64_t layer) {
  bool any = false;
  for (const char* part : {"gate", "up", "down"}) {
    const auto merged = file.tensors.find(fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
    if (merged == file.tensors.end()) continue;
    for (std::int64_t e = 0; e < merged->second.shape[0]; ++e)
      file.tensors[fmt::format("blk.{}.ffn_{}.{}.weight", layer, part, e)] = slice(merged->second, e);
    file.tensors.erase(merged);
    any = true;
  }
  return any;
}

/// Gate and up of every expert in one tensor.
bool fuse_experts(File& file, std::int64_t layer) {
  const auto gate = file.tensors.find(name_of("blk.#.ffn_gate_exps.weight", layer));
  const auto up = file.tensors.find(name_of("blk.#.ffn_up_exps.weight", layer));
  if (gate == file.tensors.end()) return false;
  Tensor both = {{gate->second.shape[0], 2 * gate->second.shape[1], gate->second.shape[2]}, {}};
  for (std::int64_t e = 0; e < both.shape[0]; ++e)
    both.bytes += slice(gate->second, e).bytes + slice(up->second, e).bytes;
  file.tensors.erase(gate);
  file.tensors.erase(up);
  file.tensors[name_of("blk.#.ffn_gate_up_exps.weight", layer)] = std::move(both);
  return true;
}

/// q, k and v in one tensor, biases as well.
bool fuse_attention(File& file, std::int64_t layer) {
  bool any = false;
  for (const char* kind : {"weight", "bias"}) {
    const auto part = [&](const char* p) { return fmt::format("blk.{}.attn_{}.{}", layer, p, kind); };
    if (file.tensors.count(part("v")) == 0) continue;
    Tensor all = file.tensors.at(part("q"));
    for (const char* p : {"k", "v"}) append_rows(all, file.tensors.at(part(p)));
    for (const char* p : {"q", "k", "v"}) file.tensors.erase(part(p));
    file.tensors[part("qkv")] = std::move(all);
    any = true;
  }
  return any;
}

}  // namespace

TEST_CASE("a directory becomes the f32 file that llama.cpp's converter makes of it") {
  const GgufScratch scratch;
  int compared = 0;
  for (const GoldenCase& c : directories()) {
    const fs::path layout = fs::path(MOE_SOURCE_DIR) / "tests/data/gguf" / (c.name + ".json");
    if (!fs::exists(layout)) continue;
    CAPTURE(c.name);
    const json expected = json::parse(read_file(layout));
    // Another model under the same name (MOE_GOLDEN_DIR) has other weights.
    const auto config = json::parse(read_file(c.model / "config.json"));
    const auto width = expected["metadata"].find(expected["architecture"].get<std::string>() + ".embedding_length");
    const json golden = json::parse(read_file(c.expected));
    const json& text = config.contains("text_config") ? config["text_config"] : config;
    if (text["hidden_size"] != *width || golden.value("weight_seed", json()) != expected.value("weight_seed", json())) {
      report_skip(c.name, "not the model that tests/data/gguf describes");
      continue;
    }
    const auto report = to_f32(c.model, scratch.file("x.gguf"));
    if (!report) FAIL(report.error().message);
    check_layout(scratch.file("x.gguf"), expected);
    ++compared;
  }
  MESSAGE(compared << " files compared with the converter's");
  if (std::getenv("MOE_GOLDEN_DIR") == nullptr) CHECK(compared >= 2);
}

TEST_CASE("experts one by one, gate and up fused, q, k and v fused: the same bits") {
  const GgufScratch scratch;
  std::map<std::string, int> changed;
  const std::pair<const char*, bool (*)(File&, std::int64_t)> layouts[] = {
      {"split experts", split_experts}, {"fused experts", fuse_experts}, {"fused attention", fuse_attention}};
  for (const GoldenCase& c : directories()) {
    CAPTURE(c.name);
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;  // reported by golden_quantize
    const File original = read_gguf(scratch.file("x.gguf"));
    const std::vector<float> expected = logits_of(scratch.file("x.gguf"));
    for (const auto& [layout, change] : layouts) {
      const char* what = layout;
      CAPTURE(what);
      File file = original;
      bool any = false;
      for (std::int64_t l = 0; file.tensors.count(name_of("blk.#.attn_norm.weight", l)) != 0; ++l)
        any |= change(file, l);
      if (!any) continue;
      write_gguf(file, scratch.file("y.gguf"));
      CHECK(same_bits(logits_of(scratch.file("y.gguf")), expected));
      ++changed[what];
    }
  }
  for (const auto& [what, count] : changed) MESSAGE(what << ": " << count << " models");
  CHECK(changed.size() == 3);
}

TEST_CASE("a missing, misshapen or unknown tensor of a GGUF file is named") {
  const GgufScratch scratch;
  std::set<std::string> seen;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;
    const File original = read_gguf(scratch.file("x.gguf"));
    const auto recognised = moe::checkpoint::open(scratch.file("x.gguf"));
    const auto family = moe::arch::recognise(**recognised);
    REQUIRE(family.has_value());
    if (!seen.insert(family->config.family).second) continue;  // one model of every family
    CAPTURE(c.name);
    for (const auto& [key, t] : original.tensors) {
      const std::string& name = key;
      if (!name.starts_with("blk.1.") && !name.starts_with("output_norm")) continue;
      CAPTURE(name);
      File file = original;
      file.tensors.erase(name);
      CHECK(error_of(file, scratch.file("y.gguf")).find(name) != std::string::npos);
      file = original;
      append_rows(file.tensors[name], {{1}, std::string(t.bytes.size() / static_cast<std::size_t>(t.shape[0]), '\0')});
      CHECK(error_of(file, scratch.file("y.gguf")).find(name) != std::string::npos);
      ++checked;
    }
    File file = original;
    file.tensors["blk.1.attn_surprise.weight"] = {{4}, std::string(16, '\0')};
    CHECK(error_of(file, scratch.file("y.gguf")).find("blk.1.attn_surprise.weight is not expected") !=
          std::string::npos);
  }
  MESSAGE(seen.size() << " families, " << checked << " tensors");
  CHECK(checked > 0);
}

TEST_CASE("rotary tensors that older converters left behind are not needed, and a note names them") {
  const GgufScratch scratch;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;
    File file = read_gguf(scratch.file("x.gguf"));
    const auto expected = logits_of(scratch.file("x.gguf"));
    CAPTURE(c.name);
    file.tensors["blk.0.attn_rot_embd"] = {{4}, std::string(16, '\0')};
    file.tensors["blk.1.attn_rot_embd.weight"] = {{4}, std::string(16, '\0')};
    write_gguf(file, scratch.file("y.gguf"));
    CHECK(same_bits(logits_of(scratch.file("y.gguf")), expected));
    const auto info = moe::Model::inspect(scratch.file("y.gguf"));
    REQUIRE(info.has_value());
    REQUIRE(info->notes.size() == 1);
    CHECK(info->notes[0].find("2 tensors of rotary frequencies ('blk.0.attn_rot_embd', ..)") != std::string::npos);
    if (++checked == 3) break;
  }
  CHECK(checked > 0);
}

}  // namespace gguf_test
