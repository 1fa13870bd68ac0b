#pragma once
// moe-eval's router settings: the number of experts per token.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"
#include "moe/model.hpp"

namespace eval_experts {

/// The options as given on the command line.
struct Flags {
  std::string top_k, variant;
  std::optional<double> mass;
};
void add_options(CLI::App& app, Flags& flags);

/// The settings of a row, and the options that set them: for the row's name and for messages.
struct Setting {
  moe::ExpertOptions options;
  std::string name;   ///< "[top_k=4,4,3][expert_mass=0.9]"; empty: as the model was trained
  std::string asked;  ///< "--top-k 4,4,3, --expert-mass 0.9"
  bool is_default() const { return options == moe::ExpertOptions(); }
};
/// `swept`: whether a --sweep sets the mass. Errors: bad_argument.
moe::Result<Setting> setting_of(const Flags& flags, bool mass_is_swept);

/// Whether --sweep KEY is one of these settings, and its KEY=VALUE. Errors: bad_argument.
bool is_key(std::string_view key);
moe::Result<void> apply(Setting& setting, std::string_view key, const std::string& value);

}  // namespace eval_experts
