#include "chat/symbols.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::chat {

FunctionScope::FunctionScope(FunctionInfo& function, FunctionScope* outer_function)
    : info(&function), outer(outer_function), depth(outer_function == nullptr ? 0 : outer_function->depth + 1) {
  for (FunctionScope* f = outer; f != nullptr; f = f->outer) f->info->has_inner = true;
}

int FunctionScope::slot(int level, const std::string& name) {
  const auto [place, added] = slots.try_emplace(std::to_string(level) + ":" + name, info->slot_count);
  if (added) ++info->slot_count;
  return place->second;
}

Symbols::Symbols(FunctionScope& function, const Symbols* parent)
    : function_(function), parent_(parent), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

Symbols::Found Symbols::find(const std::string& name) const {
  for (const Symbols* s = this; s != nullptr; s = s->parent_)
    if (const auto found = s->refs_.find(name); found != s->refs_.end()) return {&s->function_, found->second};
  return {};
}

int Symbols::define(const std::string& name, Load load) {
  const int slot = function_.slot(level_, name);
  load.slot = slot;
  refs_[name] = slot;
  loads_[slot] = std::move(load);
  return slot;
}

Load Symbols::outer_load(const Found& outer) const {
  Load load;
  load.from = Load::From::outer;
  load.outer = {function_.depth - outer.function->depth, outer.slot};
  return load;
}

void Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  Load load;
  load.from = Load::From::parameter;
  define(name, std::move(load));
}

void Symbols::load(const std::string& name) {
  if (known(name)) return;
  Load load;
  load.from = Load::From::context;
  load.name = name;
  define(name, std::move(load));
}

void Symbols::store(const std::string& name) {
  if (stores_.insert(name).second) log_.push_back(name);
  if (refs_.count(name) != 0) return;
  const Found outer = parent_ == nullptr ? Found{} : parent_->find(name);
  define(name, outer.function == nullptr ? Load{} : outer_load(outer));
}

void Symbols::after_branches(std::size_t since) {
  for (std::size_t i = since; i < log_.size(); ++i) {
    const std::string& name = log_[i];
    const Found outer = parent_ == nullptr ? Found{} : parent_->find(name);
    Load load;
    if (outer.function != nullptr) {
      load = outer_load(outer);
    } else {
      load.from = Load::From::context;
      load.name = name;
    }
    load.slot = refs_[name];
    loads_[load.slot] = std::move(load);
  }
}

Ref Symbols::ref(const std::string& name, const FunctionScope& function) const {
  const Found found = find(name);
  if (found.function == nullptr) return {};
  return {function.depth - found.function->depth, found.slot};
}

Scope Symbols::scope() const {
  Scope scope;
  for (const auto& [slot, load] : loads_) scope.loads.push_back(load);
  return scope;
}

std::vector<std::string> Symbols::all_stores() const {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const Symbols* s = this; s != nullptr; s = s->parent_)
    for (const std::string& name : s->stores_)
      if (seen.insert(name).second) names.push_back(name);
  return names;
}

}  // namespace moe::inline MOE_ABI::chat
