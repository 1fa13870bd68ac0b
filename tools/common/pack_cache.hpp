#pragma once
// --pack-cache, the same in every program that loads weights.

#include <string>

#include "moe/content_hash.hpp"
#include "moe/model.hpp"
#include "tools/common/program.hpp"

namespace cli {

struct PackCache {
  std::string path;
  bool map = false;

  void apply(moe::LoadOptions& load) const {
    load.pack = path;
    load.pack_use = map ? moe::PackUse::map : moe::PackUse::read;
    // The first load, whoever does it, notes the files' digests; later ones have them for nothing.
    if (!path.empty()) load.content_hash = moe::sha256;
  }
};

inline void add_pack_cache(CLI::App& app, PackCache& cache) {
  CLI::Option* folder = add_path(app, "--pack-cache", cache.path,
                                 "folder for packed files (or one *.moepack): the first load makes the model's, later "
                                 "ones read it and are faster");
  app.add_flag("--pack-map", cache.map,
               "map the packed file instead of reading it: processes share one copy; it must not be changed meanwhile")
      ->needs(folder);
}

}  // namespace cli
