#include "chat/arguments.hpp"

namespace moe::inline MOE_ABI::chat {

bool bind_arguments(Run& run, const Args& args, std::string_view function, const std::string_view* names, Value* values,
                    std::size_t count, std::size_t required, Naming naming) {
  if (args.positional.size() > count) {
    run.type_error("{}() takes at most {} argument{} ({} given)", function, count, count == 1 ? "" : "s",
                   args.positional.size());
    return false;
  }
  std::copy(args.positional.begin(), args.positional.end(), values);
  for (const auto& [name, value] : args.named) {
    std::size_t i = 0;
    while (i < count && names[i] != name) ++i;
    if (i == count || naming == Naming::positional_only) {
      run.type_error("{}() got an unexpected keyword argument {}", function, repr_of(name));
      return false;
    }
    if (!values[i].is_missing()) {
      run.type_error("{}() got multiple values for argument {}", function, repr_of(name));
      return false;
    }
    values[i] = value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (values[i].is_missing()) {
      run.type_error("{}() missing required argument: '{}'", function, names[i]);
      return false;
    }
  return true;
}

}  // namespace moe::inline MOE_ABI::chat
