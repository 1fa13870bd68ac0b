// Experts of one layer whose integer weights are stored in different ways.

#include "golden/integer_folder_writer.hpp"
#include "golden/memory_reader.hpp"
#include "model/model_impl.hpp"
#include "moe/demand.hpp"

namespace integer_experts_test {

using namespace moe_test;

namespace {

/// A copy of a directory with experts a and b of every layer in each other's place, with their rows of the router.
void swap_experts(const std::filesystem::path& from, int a, int b, const std::filesystem::path& to) {
  const auto part = [](int expert) { return ".mlp.experts." + std::to_string(expert) + "."; };
  Tensors swapped;
  for (const auto& [name, tensor] : read_safetensors(from / "model.safetensors")) {
    std::string other = name;
    for (const auto& [old, place] : {std::pair(part(a), part(b)), std::pair(part(b), part(a))})
      if (const std::size_t at = name.find(old); at != std::string::npos)
        other = std::string(name).replace(at, old.size(), place);
    ReferenceTensor& out = swapped[other] = tensor;
    if (!name.ends_with(".mlp.gate.weight")) continue;
    const auto row = static_cast<std::ptrdiff_t>(out.bytes.size()) / out.shape[0];
    std::swap_ranges(out.bytes.begin() + a * row, out.bytes.begin() + (a + 1) * row, out.bytes.begin() + b * row);
  }
  write_folder(to, read_config(from), swapped);
}

}  // namespace

// Files may leave out one expert, or give it an order of columns of its own. Experts 0 and 2 of four may change places
// without another bit in the router's softmax: their terms of its sum are added first (docs/NUMERICS.md, tree).
TEST_CASE("experts of one layer that are stored in different ways: the same bits whichever comes first") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const auto is_of = [](const std::string& name, const char* part) { return name.find(part) != std::string::npos; };
  const StoredOf float_first = [&](const std::string& name) {
    return is_of(name, ".experts.0.") ? Stored::as_float : Stored::as_kind;
  };
  const StoredOf order_first = [&](const std::string& name) {
    return is_of(name, ".experts.0.") ? Stored::as_kind : Stored::in_order;
  };
  const StoredOf one_up = [&](const std::string& name) {
    return is_of(name, ".experts.") && !is_of(name, ".experts.2.up_proj") ? Stored::as_float : Stored::as_kind;
  };
  const Kind in_order{"gptq", gptq(4, 64, false), 4, 64, "F16", true};
  const Kind act_order{"gptq", gptq(4, 64, true), 4, 64, "F16", true, true};
  const Kind packed{"packed", compressed("pack-quantized", 4, 64, true), 4, 64, "F16"};
  const Kind packed_order{"packed", packed.config, 4, 64, "F16", false, true};
  struct Mix {
    const char* name;
    Kind kind;
    StoredOf stored;
    bool one_size;  ///< of all experts
  };
  for (const Mix& mix : {Mix{"gptq, expert 0 as float32", in_order, float_first, false},
                         Mix{"packed, expert 0 as float32", packed, float_first, false},
                         Mix{"gptq, expert 0 in another order", act_order, order_first, true},
                         Mix{"packed, expert 0 in another order", packed_order, order_first, true},
                         Mix{"gptq, of experts one up alone", in_order, one_up, false}}) {
    CAPTURE(mix.name);
    const std::filesystem::path folder = scratch.dir / "copy";
    write_copies(scratch.dir / "wide", mix.kind, folder, mix.stored);
    swap_experts(folder / "codes", 0, 2, folder / "swapped");
    const auto codes = loaded(folder / "codes"), swapped = loaded(folder / "swapped"),
               floats = loaded(folder / "floats");
    const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
    CHECK(same_bits(whole_logits(codes, options_for(kSettings[0], 2, 7), ids),
                    whole_logits(floats, options_for(kSettings[0], 1, 64), ids)));
    const std::vector<float> automatic = whole_logits(codes, options_for(kSettings[1], 1, 64), ids);
    CHECK(same_bits(whole_logits(swapped, options_for(kSettings[1], 1, 64), ids), automatic));
    CHECK(same_bits(whole_logits(codes, options_for(kSettings[1], 2, 1), ids), automatic));
    CHECK(relative_error(automatic, whole_logits(floats, options_for(kSettings[1], 1, 64), ids)) <= 0.2);
    const auto from_pack = moe::Model::load((folder / "codes").string(), {.tokenizer = moe::TokenizerUse::none,
                                                                          .pack = scratch.file(mix.name) + ".moepack"});
    REQUIRE_MESSAGE(from_pack.has_value(), from_pack.error().message);
    CHECK(same_bits(whole_logits(*from_pack, options_for(kSettings[1], 1, 64), ids), automatic));

    // Experts that are read when needed have one size.
    const std::int64_t bytes = moe::ExpertCache::most_bytes(expert_shapes(*codes));
    const auto stream = streamed(codes, std::make_shared<MemoryReader>(codes, MemoryReader::Options{}), bytes, 1);
    CHECK((stream != nullptr) == mix.one_size);
    if (stream != nullptr) CHECK(same_bits(whole_logits(stream, options_for(kSettings[1], 2, 64), ids), automatic));

    // Sizes and demands are those of all experts, not of the first.
    const auto info = moe::Model::inspect((folder / "codes").string());
    REQUIRE(info.has_value());
    std::int64_t sizes = info->packed.always;
    for (const std::int64_t expert : info->packed.expert) sizes += expert * codes->config().router.expert_count;
    const std::int64_t padding = 2 * 4 * (moe::kBundleAlignment + 1);  // of each expert, and a rounded mean
    CHECK(sizes >= codes->resident_bytes());
    CHECK(sizes <= codes->resident_bytes() + padding);
    moe::SessionOptions options = options_for(kSettings[1], 1, 64);
    options.record_routing = true;
    auto session = open_session(codes, options);
    static_cast<void>(step(*session, *session->open(), {ids.data(), 1}));
    const auto demands = moe::step_demand(*codes, options.kv, 0, 1, session->routing());
    std::int64_t read = 0;
    for (std::size_t l = 0; l < session->routing().size(); ++l)
      for (const std::int32_t expert : session->routing()[l].front().experts) {
        const moe::FfnWeights& e = moe::impl_of(*codes).weights->layers[l].experts[static_cast<std::size_t>(expert)];
        read += e.gate.bytes() + e.up.bytes() + e.down.bytes();
      }
    CHECK(demands.stage[static_cast<std::size_t>(moe::Stage::experts)].bytes == static_cast<double>(read));
  }
}

TEST_CASE("codes of later experts are not quantised twice because the first expert is float32") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const Kind kind{"gptq", gptq(4, 64, false), 4, 64, "F16", true};
  write_copies(scratch.dir / "wide", kind, scratch.dir / "copy", [](const std::string& name) {
    return name.find(".experts.3.down_proj") != std::string::npos ? Stored::as_kind : Stored::as_float;
  });
  moe::QuantizeOptions options = to(moe::Format::q4_0);
  options.tokenizer = false;
  const auto refused = moe::quantize(scratch.file("copy/codes"), scratch.file("codes.gguf"), options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::unsupported);
  CHECK_MESSAGE(refused.error().message.find("layers.0.mlp.experts.3.down_proj.weight is int4") != std::string::npos,
                refused.error().message);
  options.requantize = true;
  const auto written = moe::quantize(scratch.file("copy/codes"), scratch.file("codes.gguf"), options);
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  // Both kinds of experts in one tensor: the bytes of the same weights as float32.
  REQUIRE(moe::quantize(scratch.file("copy/floats"), scratch.file("floats.gguf"), options).has_value());
  const auto codes = loaded(scratch.dir / "codes.gguf"), floats = loaded(scratch.dir / "floats.gguf");
  const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
  CHECK(same_bits(whole_logits(codes, options_for(kSettings[1], 1, 64), ids),
                  whole_logits(floats, options_for(kSettings[1], 1, 64), ids)));
}

}  // namespace integer_experts_test
