// Joules by RAPL, read from a fake directory tree.

#include "support/energy_meter.hpp"

#include "scratch_dir.hpp"
#include "support.hpp"

namespace energy_meter_test {

namespace {

namespace fs = std::filesystem;

struct Powercap : moe_test::ScratchDir {
  Powercap() : ScratchDir("moe_energy") {}
  Powercap& zone(const std::string& zone, const std::string& name, const std::string& energy,
                 const std::string& range = "1000000000") {
    fs::create_directories(folder(zone));
    std::ofstream(folder(zone) / "name") << name << "\n";
    std::ofstream(folder(zone) / "max_energy_range_uj") << range << "\n";
    return energy_of(zone, energy);
  }
  Powercap& energy_of(const std::string& zone, const std::string& energy) {
    std::ofstream(folder(zone) / "energy_uj") << energy << "\n";
    return *this;
  }
  fs::path folder(const std::string& zone) const { return dir / "sys/class/powercap" / zone; }
  moe::EnergyMeter meter() const { return moe::EnergyMeter(dir.string()); }
};

}  // namespace

TEST_CASE("packages and their memory are added, parts of them are not") {
  Powercap tree;
  tree.zone("intel-rapl:0", "package-0", "5000000").zone("intel-rapl:1", "package-1", "0");
  tree.zone("intel-rapl:0:0", "core", "7").zone("intel-rapl:0:1", "dram", "100");
  tree.zone("intel-rapl:2", "psys", "9").zone("intel-rapl-mmio:0", "package-0", "5000000");
  moe::EnergyMeter meter = tree.meter();
  CHECK(meter.joules() == 0.0);
  tree.energy_of("intel-rapl:0", "8500000").energy_of("intel-rapl:1", "250000").energy_of("intel-rapl:0:1", "200100");
  tree.energy_of("intel-rapl:0:0", "99000000").energy_of("intel-rapl:2", "88000000");
  tree.energy_of("intel-rapl-mmio:0", "8500000");
  CHECK(meter.joules() == doctest::Approx(3.5 + 0.25 + 0.2));
  CHECK(meter.joules() == doctest::Approx(3.95));  // asking changes nothing
}

TEST_CASE("a counter that starts again at zero goes on counting") {
  Powercap tree;
  tree.zone("intel-rapl:0", "package-0", "999000000");
  moe::EnergyMeter meter = tree.meter();
  tree.energy_of("intel-rapl:0", "500000");
  CHECK(meter.joules() == doctest::Approx(1.5));
  tree.energy_of("intel-rapl:0", "400000");
  CHECK(meter.joules() == doctest::Approx(1.5 + 999.9));
}

TEST_CASE("nothing readable is no figure, and never zero") {
  Powercap empty;
  CHECK_FALSE(empty.meter().joules());
  fs::create_directories(empty.dir / "sys/class/powercap");
  CHECK_FALSE(empty.meter().joules());
  empty.zone("intel-rapl:0", "core", "5");
  CHECK_FALSE(empty.meter().joules());

  for (const char* energy : {"", "-3", "12x", "1000000001", "99999999999999999999999"}) {
    CAPTURE(energy);
    Powercap tree;
    tree.zone("intel-rapl:0", "package-0", energy);
    moe::EnergyMeter meter = tree.meter();
    tree.energy_of("intel-rapl:0", "100");
    CHECK_FALSE(meter.joules());
  }
}

TEST_CASE("a counter that cannot be read in between makes the sum no figure") {
  Powercap tree;
  tree.zone("intel-rapl:0", "package-0", "1").zone("intel-rapl:1", "package-1", "1");
  moe::EnergyMeter meter = tree.meter();
  REQUIRE(meter.joules());
  fs::remove(tree.folder("intel-rapl:1") / "energy_uj");
  CHECK_FALSE(meter.joules());
  tree.energy_of("intel-rapl:1", "5000");
  CHECK_FALSE(meter.joules());
}

}  // namespace energy_meter_test
