// Directories of compressed-tensors, GPTQ and AWQ that are refused, and what is said of them.

#include "golden/integer_folder_writer.hpp"

namespace integer_refusals_test {

using namespace moe_test;

TEST_CASE("forms of quantization_config that libmoe does not compute are refused by name") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const json plain = json::parse(read_file(scratch.dir / "wide/config.json"));
  const auto changed = [](json config, const char* pointer, const json& value) {
    config[json::json_pointer(pointer)] = value;
    return config;
  };
  const json groups = compressed("pack-quantized", 4, 32, true);
  const std::pair<json, std::string> bad[] = {
      {gptq(3, 128, false), "quantization_config.bits"},
      {gptq(4, 128, false, "marlin"), "checkpoint_format"},
      {changed(gptq(4, 128, false), "/pack_dtype", "int64"), "pack_dtype"},
      {changed(gptq(4, 128, false), "/dynamic", {{"layers.1", {{"bits", 3}}}}), "dynamic.layers.1.bits"},
      {changed(awq(128), "/version", "gemv"), "version"},
      {changed(awq(128), "/bits", 8), "bits"},
      {changed(groups, "/format", "nvfp4-pack-quantized"), "nvfp4-pack-quantized"},
      {changed(groups, "/format", "marlin-24"), "marlin-24"},
      {changed(groups, "/config_groups/group_0/weights/num_bits", 2), "config_groups.group_0.weights.num_bits"},
      {changed(groups, "/config_groups/group_0/weights/strategy", "tensor_group"), "strategy"},
      {changed(groups, "/config_groups/group_0/weights/actorder", "random"), "actorder"},
      {changed(gptq(4, 128, false), "/format", "marlin"), "quantization_config.format"},
      {changed(groups, "/sparsity_config", {{"format", "sparse-24-bitmask"}}), "sparse-24-bitmask"},
      {changed(groups, "/transform_config", {{"config_groups", {{"u", 1}}}}), "transform_config"},
      {{{"quant_method", "bitsandbytes"}}, "bitsandbytes"},
  };
  for (const auto& [quantization, words_of_error] : bad) {
    const std::string& expected = words_of_error;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(expected);
    json config = plain;
    config["quantization_config"] = quantization;
    std::ofstream(scratch.dir / "wide/config.json") << config.dump();
    const auto model = moe::Model::load(scratch.file("wide"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().code == moe::ErrorCode::unsupported);
    CHECK_MESSAGE(model.error().message.find(expected) != std::string::npos, model.error().message);
  }
}

TEST_CASE("tensors of such directories that contradict each other are refused, naming one") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const std::vector<Kind> bases = {{"gptq", gptq(4, 64, true), 4, 64, "F32", true, true},
                                   {"awq", awq(64), 4, 64, "F32", true},
                                   {"packed", compressed("pack-quantized", 4, 64, false), 4, 64, "F32", true},
                                   {"int8", compressed("int-quantized", 8, 0, false), 8, 0, "F32", true}};
  for (const Kind& kind : bases) {
    write_copies(scratch.dir / "wide", kind, scratch.dir / "copy");
    const json config = json::parse(read_file(scratch.dir / "copy/codes/config.json"));
    const Tensors good = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
    int checked = 0;
    for (const auto& entry : good) {
      const std::string& name = entry.first;
      const ReferenceTensor& tensor = entry.second;
      if (name.find("layers.1.self_attn.k_proj.") == std::string::npos) continue;
      const bool optional = name.ends_with("_shape");
      std::vector<std::pair<std::string, Tensors>> files;
      const auto add = [&](const char* what) -> ReferenceTensor& {
        return files.emplace_back(what, good).second[name];
      };
      if (!optional) add("missing"), files.back().second.erase(name);
      add("longer").shape.back() += 1;
      files.back().second[name].bytes.resize(tensor.bytes.size() +
                                             tensor.bytes.size() / static_cast<std::size_t>(tensor.shape.back()));
      if (name.ends_with("g_idx"))
        for (const std::int32_t group : {-1, 4, 1 << 30}) std::memcpy(add("group").bytes.data() + 8, &group, 4);
      if (tensor.dtype == "F32")
        for (const float scale : {HUGE_VALF, std::nanf(""), -0x1p119f})
          std::memcpy(add("scale").bytes.data() + tensor.bytes.size() - 4, &scale, 4);
      for (const auto& file : files) {
        CAPTURE(kind.name);
        CAPTURE(name);
        CAPTURE(file.first);
        write_folder(scratch.dir / "bad", config, file.second);
        const auto model = moe::Model::load(scratch.file("bad"), {.tokenizer = moe::TokenizerUse::none});
        REQUIRE_FALSE(model.has_value());
        CHECK_MESSAGE(model.error().message.find("layers.1.self_attn.k_proj.") != std::string::npos,
                      model.error().message);
        ++checked;
      }
    }
    CHECK(checked > 4);
  }
}

TEST_CASE("zero points that 4 bits cannot have are refused, naming their tensor") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  write_copies(scratch.dir / "wide", {"packed", compressed("pack-quantized", 4, 64, false), 4, 64, "F32", true},
               scratch.dir / "copy");
  const json config = json::parse(read_file(scratch.dir / "copy/codes/config.json"));
  Tensors tensors = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  const std::vector<std::int64_t> shape = tensors.at(name + "_scale").shape;
  // As bytes, which hold more than 4 bits; 8 is added to them.
  for (const auto& [stored, message] : std::vector<std::pair<std::int8_t, std::string>>{
           {8, ""}, {9, "a zero point of 17"}, {100, "a zero point of 108"}, {-9, "a zero point of -1"}}) {
    const int number = stored;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(number);
    const std::vector<std::int8_t> zeros(static_cast<std::size_t>(shape[0] * shape[1]), stored);
    tensors[name + "_zero_point"] = tensor_of("I8", shape, zeros);
    write_folder(scratch.dir / "bytes", config, tensors);
    const auto model = moe::Model::load(scratch.file("bytes"), {.tokenizer = moe::TokenizerUse::none});
    CHECK(model.has_value() == message.empty());
    if (model) continue;
    CHECK(model.error().code == moe::ErrorCode::unsupported);
    CHECK_MESSAGE(model.error().message.find(name + "_zero_point: " + message) != std::string::npos,
                  model.error().message);
    CHECK_MESSAGE(model.error().message.find("expected 0 to 16") != std::string::npos, model.error().message);
  }
}

TEST_CASE("GPTQ's biases of zeros are left out, others are refused") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  write_copies(scratch.dir / "wide", {"gptq", gptq(4, 64, false), 4, 64, "F16", true}, scratch.dir / "copy");
  const json config = json::parse(read_file(scratch.dir / "copy/codes/config.json"));
  const Tensors good = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
  const std::string stem = "model.layers.1.self_attn.o_proj.";
  REQUIRE(good.count(stem + "qweight") == 1);
  const std::int64_t rows = good.at(stem + "qweight").shape[1];
  const auto load_with = [&](const std::string& name, std::vector<float> values) {
    Tensors tensors = good;
    tensors[name] = float_tensor("F16", {static_cast<std::int64_t>(values.size())}, values);
    write_folder(scratch.dir / "biases", config, tensors);
    return moe::Model::load(scratch.file("biases"), {.tokenizer = moe::TokenizerUse::none});
  };
  const auto plain = loaded(scratch.dir / "copy/codes");
  std::vector<float> zeros(static_cast<std::size_t>(rows), 0.0f);
  zeros.front() = -0.0f;
  const auto with_zeros = load_with(stem + "bias", zeros);
  REQUIRE_MESSAGE(with_zeros.has_value(), with_zeros.error().message);
  CHECK((*with_zeros)->info().total_parameters == plain->info().total_parameters);
  REQUIRE((*with_zeros)->info().notes.size() == plain->info().notes.size() + 1);
  CHECK((*with_zeros)->info().notes.back().find("1 bias of zeros") != std::string::npos);
  const std::vector<moe::TokenId> ids = prompt_for(plain->config(), 3);
  CHECK(same_bits(whole_logits(*with_zeros, options_for(kSettings[1], 1, 64), ids),
                  whole_logits(plain, options_for(kSettings[1], 1, 64), ids)));

  std::vector<float> one = zeros, more = zeros;
  one.back() = 0x1p-24f;  // the smallest number of f16
  more.push_back(0.0f);
  for (const auto& [name, values] :
       {std::pair(stem + "bias", one), {stem + "bias", more}, {stem + "other.bias", zeros}}) {
    const auto refused = load_with(name, values);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == moe::ErrorCode::unsupported);
    CHECK_MESSAGE(refused.error().message.find(name) != std::string::npos, refused.error().message);
  }
}

TEST_CASE("words of codes need whole words: 32 columns, and of GPTQ and AWQ as many rows as a word has codes") {
  const Scratch scratch;
  const std::filesystem::path plain = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
  json config = read_config(plain);
  config["head_dim"] = 30;  // 120 columns of o_proj, 60 rows of k_proj
  Tensors good = read_safetensors(plain / "model.safetensors");
  const auto zeros = [](const std::vector<std::int64_t>& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape[0] * (shape.size() > 1 ? shape[1] : 1)));
    return tensor_of("F32", shape, values);
  };
  for (auto& [name, tensor] : good) {
    if (name.ends_with("q_norm.weight") || name.ends_with("k_norm.weight")) tensor = zeros({30});
    if (name.ends_with("q_proj.weight")) tensor = zeros({120, 64});
    if (name.ends_with("k_proj.weight") || name.ends_with("v_proj.weight")) tensor = zeros({60, 64});
    if (name.ends_with("o_proj.weight")) tensor = zeros({64, 120});
  }
  // The error of a copy whose projection has codes in words.
  const auto error_of = [&](const Kind& kind, const std::string& part, std::int64_t rows, std::int64_t columns) {
    Tensors tensors = good;
    const std::string stem = "model.layers.1.self_attn." + part + ".";
    tensors.erase(stem + "weight");
    std::mt19937 rng(1);
    const Codes w = random_codes(kind, rows, columns, rng);
    if (kind.config["quant_method"] == "compressed-tensors")
      write_compressed(kind, w, stem + "weight", tensor_of("F32", {rows, w.groups}, w.scale), tensors);
    else
      write_packed(kind, w, stem, tensors);
    json copy = config;
    copy["quantization_config"] = kind.config;
    write_folder(scratch.dir / "words", copy, tensors);
    const auto model = moe::Model::load(scratch.file("words"), {.tokenizer = moe::TokenizerUse::none});
    return model ? std::string() : model.error().message;
  };
  const Kind of_gptq{"gptq", gptq(4, 0, false), 4, 0, "F32", true}, of_awq{"awq", awq(-1), 4, 0, "F32", true},
      packed{"packed", compressed("pack-quantized", 4, 0, true), 4, 0, "F32"};
  for (const Kind& kind : {of_gptq, of_awq}) {
    CAPTURE(kind.name);
    CHECK(error_of(kind, "k_proj", 60, 64).find("expected a multiple of 32 columns and of 8 rows") !=
          std::string::npos);
    CHECK(error_of(kind, "o_proj", 64, 120).find("expected a multiple of 32 columns and of 8 rows") !=
          std::string::npos);
  }
  CHECK(error_of(packed, "o_proj", 64, 120).find("expected a multiple of 32 columns") != std::string::npos);
  CHECK(error_of(packed, "k_proj", 60, 64) == "");
}

TEST_CASE("what quantization_config says of the tensors must be true") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const auto error_of = [&](const std::filesystem::path& folder, const char* pointer, const json& value) {
    json config = json::parse(read_file(folder / "config.json"));
    config[json::json_pointer(pointer)] = value;
    write_folder(scratch.dir / "changed", config, read_safetensors(folder / "model.safetensors"));
    const auto model = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
    return model ? std::string() : model.error().message;
  };
  const std::string weights = "/quantization_config/config_groups/group_0/weights/";
  write_copies(scratch.dir / "wide", {"packed", compressed("pack-quantized", 4, 64, true), 4, 64, "F16"},
               scratch.dir / "packed");
  const std::filesystem::path packed = scratch.dir / "packed/codes";
  CHECK(error_of(packed, (weights + "symmetric").c_str(), true).empty());
  CHECK(error_of(packed, (weights + "actorder").c_str(), "weight").empty());
  CHECK(error_of(packed, (weights + "symmetric").c_str(), false).find("_zero_point is missing") != std::string::npos);
  CHECK(error_of(packed, (weights + "actorder").c_str(), "group").find("_g_idx is missing") != std::string::npos);
  CHECK(error_of(packed, (weights + "num_bits").c_str(), 8).find("_packed has shape") != std::string::npos);
  // A group of attention has no weights, and says nothing about those of others.
  json with_attention = read_config(packed)["quantization_config"]["config_groups"];
  with_attention["group_0"]["weights"]["symmetric"] = false;
  with_attention["group_1"] = {{"targets", {"re:.*self_attn$"}}, {"weights", nullptr}};
  CHECK(error_of(packed, "/quantization_config/config_groups", with_attention).find("_zero_point is missing") !=
        std::string::npos);
  // One scale for a row where the configuration has groups.
  for (const Kind& one : {Kind{"awq", awq(64), 4, 0, "F16", true}, Kind{"gptq", gptq(4, 64, false), 4, 0, "F16", true},
                          Kind{"packed", compressed("pack-quantized", 4, 64, true), 4, 0, "F16"}}) {
    CAPTURE(one.name);
    write_copies(scratch.dir / "wide", one, scratch.dir / "one");
    const auto whole = moe::Model::load(scratch.file("one/codes"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(whole.has_value());
    CHECK_MESSAGE(whole.error().message.find("1 groups for 256 columns") != std::string::npos, whole.error().message);
  }

  Tensors tensors = read_safetensors(packed / "model.safetensors");
  tensors["model.layers.1.self_attn.k_proj.weight_shape"] = tensor_of("I64", {2}, std::vector<std::int64_t>{7, 9});
  write_folder(scratch.dir / "changed", json::parse(read_file(packed / "config.json")), tensors);
  const auto model = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().message.find("k_proj.weight_shape says [7, 9], expected [") != std::string::npos);

  // Newer programs write `format` only; zero points are stored in another way.
  Kind kind{"gptq_v2", gptq(4, 64, false, "gptq_v2"), 4, 64, "F16", true};
  write_copies(scratch.dir / "wide", kind, scratch.dir / "v2");
  json config = json::parse(read_file(scratch.dir / "v2/codes/config.json"));
  config["quantization_config"].erase("checkpoint_format");
  config["quantization_config"]["format"] = "gptq_v2";
  write_folder(scratch.dir / "changed", config, read_safetensors(scratch.dir / "v2/codes/model.safetensors"));
  const auto renamed = loaded(scratch.dir / "changed"), v2 = loaded(scratch.dir / "v2/codes");
  const std::vector<moe::TokenId> ids = prompt_for(v2->config(), 3);
  CHECK(same_bits(whole_logits(renamed, options_for(kSettings[0], 1, 64), ids),
                  whole_logits(v2, options_for(kSettings[0], 1, 64), ids)));

  // Without a quantization_config nothing says what the codes mean.
  config.erase("quantization_config");
  write_folder(scratch.dir / "changed", config, read_safetensors(scratch.dir / "v2/codes/model.safetensors"));
  const auto unsaid = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_FALSE(unsaid.has_value());
  CHECK(unsaid.error().message.find("has no quantization_config") != std::string::npos);
}

}  // namespace integer_refusals_test
