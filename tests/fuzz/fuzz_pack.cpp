// libFuzzer entry: any byte string as damage to a packed file: how (kRepair, kCut), then what the file's first bytes are
// changed by (XOR). An input of zeros is the file as it was written.

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "entry.hpp"
#include "model/load_work.hpp"
#include "moe/pack.hpp"
#include "pack_plan.hpp"

namespace {

using namespace moe_test;
using moe::pack::PackFile;

constexpr unsigned kRepair = 1;  // right checksums for the header
constexpr unsigned kCut = 2;     // nothing behind the bytes that are changed

/// A small model's packed file, under a name that only this process knows.
class Fixture {
 public:
  Fixture() : plan(std::string(MOE_SOURCE_DIR) + "/tests/data/variants/deepseek_v3") {
    std::string folder = (std::filesystem::temp_directory_path() / "moe-fuzz-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    path = folder_ + "/model.moepack";
    taken(moe::write_pack(std::string(MOE_SOURCE_DIR) + "/tests/data/variants/deepseek_v3", path));
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    bytes.resize(plan.layout.file_bytes);
    if (::pread(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  ~Fixture() {
    ::close(descriptor_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void assign(const std::string& content) {
    if (::ftruncate(descriptor_, static_cast<off_t>(content.size())) != 0 ||
        ::pwrite(descriptor_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()))
      std::abort();
  }

  PackPlan plan;
  std::string path, bytes;  // as it was written

 private:
  std::string folder_;
  int descriptor_ = -1;
};

/// What can be read must be the panels as they were written.
void read_all(const PackFile& pack, const std::string& written) {
  const moe::pack::Layout& layout = pack.layout();
  const moe::LoadOptions options;
  moe::LoadWork work(options);
  std::vector<std::byte> panels(layout.file_bytes - layout.header_bytes);
  if (const auto ok = pack.read(layout.blocks.size(), panels.data(), work); !ok)
    check(ok.error());
  else if (std::memcmp(panels.data(), written.data() + layout.header_bytes, panels.size()) != 0)
    complain("panels that were changed are accepted");
  for (std::size_t l = 0; l < layout.layers.size(); ++l)
    for (std::int64_t e = 0; e < layout.layers[l].count; ++e) {
      const auto layer = static_cast<std::int64_t>(l);
      std::vector<std::byte> bundle(static_cast<std::size_t>(pack.bundle_bytes(layer)));
      if (const auto ok = moe_test::read_parts(pack, layer, e, bundle); !ok)
        check(ok.error());
      else if (std::memcmp(bundle.data(), written.data() + pack.position(layer, e), bundle.size()) != 0)
        complain("an expert that was changed is accepted");
    }
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  static Fixture fixture;
  const unsigned how = input.empty() ? 0 : static_cast<unsigned char>(input.front());
  const std::string_view change = input.substr(std::min<std::size_t>(1, input.size()), fixture.bytes.size());
  allow_memory(8 * fixture.bytes.size());
  std::string content = (how & kCut) != 0 ? fixture.bytes.substr(0, change.size()) : fixture.bytes;
  for (std::size_t i = 0; i < change.size(); ++i) content[i] = static_cast<char>(content[i] ^ change[i]);
  if ((how & kRepair) != 0) repair_header(content);
  fixture.assign(content);
  const auto pack = fixture.plan.open(fixture.path);
  if (!pack) return check(pack.error());
  if (*pack == nullptr) return;  // of another version or source
  read_all(**pack, fixture.bytes);
  const bool is_changed =
      content.compare(0, sizeof(moe::pack::PackStart), fixture.bytes, 0, sizeof(moe::pack::PackStart)) != 0;
  if (is_changed && (how & kRepair) == 0) complain("a header that was changed is accepted");
}
