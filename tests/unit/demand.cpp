// Bytes and operations of a step (moe/demand.hpp), and the instruction set (moe/cpu.hpp).

#include "moe/demand.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "kernels/table.hpp"
#include "moe/cpu.hpp"
#include "moe/flops.hpp"
#include "moe/weight_shapes.hpp"
#include "support.hpp"

namespace demand_test {

using moe::Format;

namespace {

/// MOE_ISA for the time of a test.
class Isa {
 public:
  explicit Isa(const char* name) : before_(std::getenv("MOE_ISA") == nullptr ? "" : std::getenv("MOE_ISA")) {
    setenv("MOE_ISA", name, 1);
  }
  ~Isa() { setenv("MOE_ISA", before_.c_str(), 1); }

 private:
  std::string before_;
};

}  // namespace

TEST_CASE("active_isa is what a Session made now would run") {
  CHECK(moe::active_isa() == moe::kernels::active_table()->isa);
  {
    const Isa isa("scalar");
    CHECK(moe::active_isa() == "scalar");
    CHECK(moe::multiplies_int8(Format::q8_0));
    CHECK(moe::multiplies_int8(Format::q4_k));
    CHECK_FALSE(moe::multiplies_int8(Format::f32));
    CHECK_FALSE(moe::multiplies_int8(Format::bf16));
    CHECK_FALSE(moe::multiplies_int8(static_cast<Format>(255)));
  }
  const Isa isa("pentium");
  CHECK(moe::active_isa().empty());
  CHECK_FALSE(moe::multiplies_int8(Format::q8_0));
}

TEST_CASE("the operations a step asks for are its work; experts are read once however many tokens chose them") {
  const std::string data = MOE_SOURCE_DIR "/tests/data/", sparse = MOE_SOURCE_DIR "/../shared/golden-2026/glm_moe_dsa";
  std::vector<std::string> models = {data + "golden/qwen3_moe", data + "golden/deepseek_v3_yarn",
                                     data + "shapes/qwen3_5_text"};
  if (std::filesystem::exists(sparse)) {
    models.push_back(sparse);
  } else {
    std::puts("SKIPPED the demand of sparse attention: no reference data");
  }
  for (const std::string& name : models) {
    CAPTURE(name);
    const auto model = moe::Model::load(name, {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    auto session = moe::Session::create(*model, {.kv = moe::KvType::f16, .record_routing = true});
    REQUIRE(session.has_value());
    const auto sequence = (*session)->open();
    REQUIRE(sequence.has_value());
    std::int64_t cached = 0;
    double one_token_bytes = 0;
    for (const std::int64_t tokens : {1, 5}) {
      std::vector<moe::TokenId> ids(static_cast<std::size_t>(tokens));
      for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<moe::TokenId>(7 * i + 5);
      const moe::BatchItem item{*sequence, ids, moe::Logits::last};
      REQUIRE((*session)->step({&item, 1}).has_value());
      const auto demands = moe::step_demand(**model, moe::KvType::f16, cached, tokens, (*session)->routing());
      const moe::Work work = moe::forward_work((*model)->config(), cached, tokens, 1, moe::MlaForm::absorbed);
      const moe::Demand all = demands.total();
      CHECK(all.int8_ops + all.float_ops == static_cast<double>(work.total()));
      for (const moe::KvType kv : moe::kKvTypes)
        CHECK(moe::step_demand(**model, kv, cached, tokens, {})[moe::Stage::attention].bytes ==
              static_cast<double>((cached + tokens) * moe::cache_bytes_per_token((*model)->config(), kv) +
                                  (cached > 0 ? 2 : 1) * moe::recurrent_state_bytes((*model)->config())));
      if (tokens == 1) one_token_bytes = all.bytes;
      CHECK(all.bytes >= one_token_bytes);
      CHECK(all.bytes < 5 * one_token_bytes);
      CHECK(all.bytes <= 2.0 * static_cast<double>((*model)->resident_bytes()));
      cached += tokens;
    }
  }
}

}  // namespace demand_test
