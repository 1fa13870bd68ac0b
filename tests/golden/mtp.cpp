// MTP layers: the reference's logits, in one piece and token by token; the same bits in every way to compute them, and from
// either kind of file; what they take; models that have none.

#include <cmath>

#include "golden/gguf_files.hpp"
#include "golden/mtp_support.hpp"
#include "moe/memory_plan.hpp"
#include "scratch_dir.hpp"

namespace mtp_test {

using namespace moe_test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// The prompt from its second token on, and one more.
std::vector<moe::TokenId> shifted(std::vector<moe::TokenId> prompt) {
  std::rotate(prompt.begin(), prompt.begin() + 1, prompt.end());
  return prompt;
}

std::vector<float> mtp_logits(const fs::path& path) {
  const auto model = load_with_mtp(path);
  const auto ids = prompt_for(model->config(), 3);
  return run_mtp(model, reference_options(), ids, shifted(ids), ids.size()).logits;
}

std::string refusal(const fs::path& path) {
  const auto model = moe::Model::load(path.string(), {.tokenizer = moe::TokenizerUse::none, .mtp = true});
  REQUIRE_FALSE(model.has_value());
  CHECK_MESSAGE(model.error().message.find(path.string()) == 0, model.error().message);
  return model.error().message;
}

/// A directory's configuration and tensors with the MTP layer as one more layer.
void write_one_more(const fs::path& out, json config, Tensors tensors) {
  const auto layers = config["num_hidden_layers"].get<std::int64_t>();
  const std::string own = mtp_names(config).layer, next = "model.layers." + std::to_string(layers) + ".";
  for (auto it = tensors.lower_bound(own); own != next && it != tensors.end() && it->first.starts_with(own);) {
    tensors[next + it->first.substr(own.size())] = it->second;
    it = tensors.erase(it);
  }
  if (own != next) {  // every fourth layer is one of attention, and this one as well
    json types = json::array();
    for (std::int64_t l = 0; l < layers; ++l) types.push_back((l + 1) % 4 == 0 ? "full_attention" : "linear_attention");
    types.push_back("full_attention");
    config["layer_types"] = types;
  }
  config["num_hidden_layers"] = layers + 1;
  for (const char* count : {"num_nextn_predict_layers", "mtp_num_hidden_layers"})
    if (config.contains(count)) config[count] = 0;
  write_folder(out, config, tensors);
}

/// A GGUF file of a directory with an MTP layer, as llama.cpp names its tensors. moe-quantize leaves the layer out: it is
/// shown one layer more, and what other layers do not have is added. `norm`: with the norm before its head.
void write_mtp_gguf(const fs::path& folder, const gguf_files::GgufScratch& scratch, const std::string& out,
                    bool norm = true) {
  const json config = json::parse(read_file(folder / "config.json"));
  const MtpNames names = mtp_names(config);
  const std::string block = "blk." + std::to_string(config["num_hidden_layers"].get<std::int64_t>()) + ".nextn.";
  Tensors tensors = read_safetensors(folder / "model.safetensors"), taken;
  for (const auto& [hf, gguf] : {std::pair{names.embedding, "embed_tokens"},
                                 {names.head, "shared_head_head"},
                                 {names.norm, "shared_head_norm"},
                                 {names.embedding_norm, "enorm"},
                                 {names.state_norm, "hnorm"},
                                 {names.projection, "eh_proj"}})
    if (const auto found = tensors.extract(hf); !found.empty()) taken[block + gguf + ".weight"] = found.mapped();
  if (!norm) taken.erase(block + "shared_head_norm.weight");
  write_one_more(scratch.dir / "one_more", config, tensors);
  REQUIRE(gguf_files::to_f32(scratch.dir / "one_more", out).has_value());
  gguf_files::File file = gguf_files::read_gguf(out);
  for (const auto& [name, t] : taken) {
    std::vector<float> values = widened(t);
    if (names.norms_minus_one && t.shape.size() == 1)
      for (float& v : values) v += 1.0f;
    file.tensors[name] = {t.shape, std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4)};
  }
  const auto entries = moe::checkpoint::open(out);
  const auto all = (*entries)->raw_metadata();
  moe::checkpoint::GgufMetadata metadata;
  for (const auto& entry : *all) {
    if (!entry.key.ends_with(".nextn_predict_layers")) metadata.raw(entry.key, entry.value);
    if (entry.key.ends_with(".block_count"))
      metadata.u32(entry.key.substr(0, entry.key.find('.')) + ".nextn_predict_layers", 1);
  }
  file.metadata = std::move(metadata);
  gguf_files::write_gguf(file, out);
}

}  // namespace

TEST_CASE("an MTP layer has the reference's logits, in one piece and token by token") {
  const auto cases = mtp_cases();
  if (cases.empty()) report_skip("logits of an MTP layer", "no golden model has them");
  for (const GoldenCase& c : cases) {
    CAPTURE(c.name);
    const json golden = json::parse(read_file(c.expected));
    auto tensors = read_safetensors(fs::path(c.expected).replace_extension(".safetensors"));
    const double tolerance = golden["suggested_tolerance_logits"].get<double>();
    const auto model = load_with_mtp(c.model);
    for (std::size_t p = 0; p < golden["prompts"].size(); ++p) {
      const auto ids = golden["prompts"][p]["ids"].get<std::vector<moe::TokenId>>();
      const auto next = golden["mtp"]["prompts"][p]["next_ids"].get<std::vector<moe::TokenId>>();
      const std::string prompt = "prompt" + std::to_string(p);
      for (const std::size_t stride : {ids.size(), std::size_t{1}, std::size_t{5}}) {
        CAPTURE(stride);
        const MtpRun run = run_mtp(model, reference_options(), ids, next, stride);
        const double off = worst(run.logits, tensors.at(prompt + ".mtp_logits").values<float>());
        MESSAGE(c.name << ", " << prompt << ", steps of " << stride << ": " << off << " of " << tolerance);
        CHECK(off <= tolerance);
        CHECK(worst(run.states, tensors.at(prompt + ".final_norm").values<float>()) <= tolerance);
      }
    }
  }
}

TEST_CASE("an MTP layer gives the same bits in every way to compute it") {
  const ScratchDir scratch("moe_mtp");
  std::vector<fs::path> paths;
  for (const GoldenCase& c : mtp_cases()) paths.push_back(c.model);
  for (const GoldenCase& c : models_for_mtp_copies()) paths.push_back(write_mtp_copy(c.model, scratch.dir / c.name));
  for (const fs::path& path : paths) {
    CAPTURE(path);
    const auto model = load_with_mtp(path);
    const auto ids = prompt_for(model->config(), 3);
    for (const Setting& setting : kSettings) {
      CAPTURE(setting.name);
      const MtpRun expected = run_mtp(model, options_for(setting, 1, 512), ids, shifted(ids), ids.size());
      for (const std::size_t stride : {1, 7, 64}) {
        const MtpRun run = run_mtp(model, options_for(setting, 2, 5), ids, shifted(ids), stride);
        CHECK(same_bits(run.logits, expected.logits));
        CHECK(same_bits(run.states, expected.states));
      }
    }
  }
}

TEST_CASE("GGUF files, and files with one embedding and one head for all, have the bits of the directory") {
  const gguf_files::GgufScratch scratch;
  const std::string gguf = scratch.file("mtp.gguf");
  int both = 0;
  for (const GoldenCase& c : models_for_mtp_copies()) {
    CAPTURE(c.name);
    const fs::path own = write_mtp_copy(c.model, scratch.dir / "own");
    const fs::path shared = write_mtp_copy(c.model, scratch.dir / "shared", {.own_ends = false});
    const std::vector<float> expected = mtp_logits(own);
    CHECK(same_bits(mtp_logits(shared), expected));
    const auto check = [&] {
      const std::vector<float> found = mtp_logits(gguf);
      const moe::RecurrentConfig r = moe::Model::inspect(gguf)->config.recurrent;
      if (r.tiled_heads && r.heads != r.key_heads)  // sums over values of heads are in another order
        CHECK(worst(found, expected) <= 1e-5);
      else
        CHECK(same_bits(found, expected));
    };
    for (const fs::path& folder : {own, shared}) {
      write_mtp_gguf(folder, scratch, gguf);
      check();
      ++both;
    }
    // The copy's norm before the head is the model's own.
    write_mtp_gguf(shared, scratch, gguf, false);
    check();
  }
  CHECK(both >= 2);
}

TEST_CASE("an MTP layer takes the memory that headers promise, and only where it is asked for") {
  const ScratchDir scratch("moe_mtp");
  for (const GoldenCase& c : models_for_mtp_copies())
    for (const bool own_ends : {true, false}) {
      CAPTURE(c.name);
      const std::string path = write_mtp_copy(c.model, scratch.dir / "copy", {.own_ends = own_ends}).string();
      const auto info = moe::Model::inspect(path);
      REQUIRE(info.has_value());
      const auto plain = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::none});
      REQUIRE(plain.has_value());
      CHECK((*plain)->mtp() == nullptr);
      const auto model = load_with_mtp(path);
      CHECK(info->mtp_bytes > 0);
      CHECK(model->resident_bytes() - (*plain)->resident_bytes() == info->mtp_bytes);
      CHECK(model->mtp()->resident_bytes() == info->mtp_bytes);
      const std::int64_t own = model->mtp()->info().total_parameters;
      const std::int64_t ends = 2 * info->config.vocab_size * info->config.hidden_size;
      if (own_ends || info->config.mtp_shares_ends)
        CHECK(info->mtp_parameters == own - (info->config.mtp_shares_ends ? ends : 0));
      // Others of its experts per token: the MTP layer keeps its own.
      if (model->config().moe_layer_count() > 0) CHECK((*model->with_top_k(1))->mtp() == model->mtp());
      moe::MemoryRequest request;
      request.limit = std::int64_t{1} << 36;
      request.session.max_tokens = 1024;
      const auto without = moe::plan_memory(*info, request);
      request.mtp = true;
      const auto with = moe::plan_memory(*info, request);
      REQUIRE(without.has_value());
      REQUIRE(with.has_value());
      CHECK(with->weight_bytes - without->weight_bytes == info->mtp_bytes);
      const auto estimate = moe::Session::estimate_memory(model->mtp()->info(), request.session);
      CHECK(with->cache_bytes - without->cache_bytes == estimate.cache_bytes);
      CHECK(with->scratch_bytes - without->scratch_bytes >= estimate.scratch_bytes);
    }
}

TEST_CASE("an MTP layer beside a packed file, also with experts that are read when needed: the same bits") {
  const ScratchDir scratch("moe_mtp");
  for (const GoldenCase& c : models_for_mtp_copies()) {
    CAPTURE(c.name);
    const fs::path path = write_mtp_copy(c.model, scratch.dir / c.name, {.own_ends = false});
    const std::vector<float> expected = mtp_logits(path);
    for (const bool streams : {false, true}) {
      moe::LoadOptions load{.tokenizer = moe::TokenizerUse::none, .pack = scratch.dir / "packs", .mtp = true};
      if (streams) load.expert_bytes = 1 << 20;
      const auto model = moe::Model::load(path.string(), load);
      REQUIRE_MESSAGE(model.has_value(), model.error().message);
      const auto ids = prompt_for((*model)->config(), 3);
      CHECK(same_bits(run_mtp(*model, reference_options(), ids, shifted(ids), ids.size()).logits, expected));
      CHECK(((*model)->expert_traffic().misses > 0) == (streams && (*model)->config().moe_layer_count() > 0));
    }
  }
}

TEST_CASE("what has no MTP layer that can be run is refused by name") {
  const ScratchDir scratch("moe_mtp");
  const fs::path source = fs::path(MOE_SOURCE_DIR) / "tests/data/golden";
  CHECK(refusal(source / "qwen3_moe").find("has no MTP layer that libmoe runs, expected one of deepseek_v3") !=
        std::string::npos);
  CHECK(refusal(source / "deepseek_v3_yarn").find("has no MTP layer: num_nextn_predict_layers") != std::string::npos);
  const auto changed = [&](const char* missing, int layers) {
    const fs::path folder = write_mtp_copy(source / "deepseek_v3_yarn", scratch.dir / "changed");
    json config = json::parse(read_file(folder / "config.json"));
    config["num_nextn_predict_layers"] = layers;
    Tensors tensors = read_safetensors(folder / "model.safetensors");
    for (auto it = tensors.begin(); it != tensors.end();)
      it = missing != nullptr && it->first.find(missing) != std::string::npos ? tensors.erase(it) : std::next(it);
    write_folder(folder, config, tensors);
    return folder;
  };
  CHECK(refusal(changed(nullptr, 2)).find("has 2 MTP layers, expected 1") != std::string::npos);
  const std::string none = refusal(changed("model.layers.2.", 1));  // as files that were converted without
  CHECK(none.find("tensor model.layers.2.eh_proj.weight is missing") != std::string::npos);
  CHECK(none.find("the MTP layer (num_nextn_predict_layers is 1") != std::string::npos);
  const fs::path gone = changed("model.layers.2.", 1);
  CHECK(moe::Model::inspect(gone.string())->mtp_bytes == 0);
  moe::MemoryRequest request;
  request.mtp = true;
  const auto plan = moe::plan_memory(*moe::Model::inspect((source / "qwen3_moe").string()), request);
  REQUIRE_FALSE(plan.has_value());
  CHECK(plan.error().message.find("has no MTP layer") != std::string::npos);
  for (const char* name : {"hnorm", "shared_head.norm", "2.self_attn.o_proj", "2.mlp.experts.3.up_proj"})
    CHECK(refusal(changed(name, 1)).find(name) != std::string::npos);
  const auto staged = moe::Model::load(
      gone.string(), {.tokenizer = moe::TokenizerUse::none, .layers = moe::LayerRange{0, 1}, .mtp = true});
  REQUIRE_FALSE(staged.has_value());
  CHECK(staged.error().message.find("LoadOptions::layers and LoadOptions::mtp") != std::string::npos);
  CHECK(moe::mtp_config({.family = "ernie4_5_moe", .mtp_layer_count = 1})
            .error()
            .message.find("expected one of deepseek_v3") != std::string::npos);
}

TEST_CASE("an MTP layer that is counted and not run is refused as one that is there") {
  const ScratchDir scratch("moe_mtp");
  const fs::path source = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
  Tensors tensors = read_safetensors(source / "model.safetensors");
  tensors["mtp.norm.weight"] = tensors.at("model.norm.weight");
  write_folder(scratch.dir / "added", json::parse(read_file(source / "config.json")), tensors);
  std::vector<std::pair<std::string, fs::path>> models = {{"a copy of qwen3_moe", scratch.dir / "added"}};
  for (const GoldenCase& c : golden_cases()) models.emplace_back(c.name, c.model);
  std::size_t refused = 0;
  for (const auto& model : models) {
    CAPTURE(model.first);
    const fs::path& path = model.second;
    const auto info = moe::Model::inspect(path.string());
    if (!info || info->mtp_parameters == 0 || info->mtp_bytes > 0) continue;
    const std::string message = refusal(path);
    if (message.find("as part of the MTP layer") != std::string::npos) {  // some of its tensors only
      CHECK(message.find(" is missing, expected shape [") != std::string::npos);
      continue;
    }
    CHECK_MESSAGE(
        message.find("has an MTP layer that libmoe does not run, expected one of deepseek_v3") != std::string::npos,
        message);
    moe::MemoryRequest request;
    request.limit = std::int64_t{1} << 36;
    request.mtp = true;
    const auto plan = moe::plan_memory(*info, request);
    REQUIRE_FALSE(plan.has_value());
    CHECK(message.ends_with(plan.error().message));
    ++refused;
  }
  MESSAGE(refused << " models");
  CHECK(refused > 0);
}

TEST_CASE("MTP layers are no part of what a token reads, whatever their tensors are called") {
  const ScratchDir scratch("moe_mtp");
  const fs::path source = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
  const auto plain = moe::Model::inspect(source.string());
  REQUIRE(plain.has_value());
  for (const char* prefix : {"mtp.layers.0.", "model.mtp_block.0."}) {
    CAPTURE(prefix);
    Tensors tensors = read_safetensors(source / "model.safetensors");
    for (const char* part : {"self_attn.q_proj.weight", "mlp.experts.0.up_proj.weight", "mlp.gate.weight"})
      tensors[std::string(prefix) + part] = tensors.at("model.layers.1." + std::string(part));
    write_folder(scratch.dir / "added", json::parse(read_file(source / "config.json")), tensors);
    const auto info = moe::Model::inspect((scratch.dir / "added").string());
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    CHECK(info->mtp_parameters > 0);
    CHECK(info->weight_bytes > plain->weight_bytes);
    CHECK(info->touched_bytes == plain->touched_bytes);
    CHECK(info->layer_routed_bytes == plain->layer_routed_bytes);
  }
}

TEST_CASE("moe-quantize says of MTP layers that it leaves them out, and where they are run") {
  const ScratchDir scratch("moe_mtp");
  const fs::path plain = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
  const auto note_of = [&](const fs::path& folder) {
    moe::QuantizeOptions options;
    options.replace = true;
    options.tokenizer = false;
    const auto report = moe::quantize(folder.string(), scratch / "out.gguf", options);
    REQUIRE_MESSAGE(report.has_value(), report.error().message);
    std::string found;
    for (const std::string& note : report->notes)
      if (note.find("multi-token prediction") != std::string::npos) found += note;
    return found;
  };
  Tensors tensors = read_safetensors(plain / "model.safetensors");
  CHECK(note_of(plain).empty());
  tensors["mtp.norm.weight"] = tensors.at("model.norm.weight");
  write_folder(scratch.dir / "added", json::parse(read_file(plain / "config.json")), tensors);
  CHECK(note_of(scratch.dir / "added") == "the layers of multi-token prediction are left out");

  const fs::path source = models_for_mtp_copies().front().model, copy = scratch.dir / "copy";
  const std::string whole = "the layers of multi-token prediction are left out: --draft mtp needs the directory";
  CHECK(note_of(write_mtp_copy(source, copy)) == whole);
  // A configuration may count a layer that the file does not hold.
  write_folder(copy, read_config(copy), read_safetensors(source / "model.safetensors"));
  CHECK(note_of(copy).empty());
}

TEST_CASE("states go with the tokens of an MTP layer, and with no others") {
  const ScratchDir scratch("moe_mtp");
  const auto model = load_with_mtp(write_mtp_copy(models_for_mtp_copies().front().model, scratch.dir / "copy"));
  const std::vector<float> states(static_cast<std::size_t>(3 * model->config().hidden_size), 1.0f);
  const std::vector<moe::TokenId> ids = {1, 2, 3};
  const auto refused = [&](const std::shared_ptr<const moe::Model>& of, std::size_t rows) {
    auto session = open_session(of, reference_options());
    const moe::Sequence sequence = *session->open();
    const auto numbers = static_cast<std::size_t>(model->config().hidden_size) * rows;
    const moe::BatchItem item{sequence, ids, moe::Logits::last, 0, std::span(states).first(numbers)};
    const auto done = session->step({&item, 1});
    if (!done) CHECK(done.error().message.find("numbers of states, expected") != std::string::npos);
    if (!done) CHECK(*session->length(sequence) == 0);
    CHECK(session->states().empty());  // not asked for
    return !done;
  };
  CHECK(refused(model, 3));
  CHECK_FALSE(refused(model, 0));
  CHECK(refused(model->mtp(), 0));
  CHECK(refused(model->mtp(), 2));
  CHECK_FALSE(refused(model->mtp(), 3));
}

}  // namespace mtp_test
