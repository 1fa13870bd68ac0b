#include "support/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <vector>

namespace moe::inline MOE_ABI {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The part of a path in /proc/self/mountinfo, where spaces and the like are written \040.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4) {
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool lists(std::string_view list, std::string_view word) {
  const auto parts = split(list, ',');
  return std::find(parts.begin(), parts.end(), word) != parts.end();
}

// Where a hierarchy with the controller is mounted, and which of its groups is the root there.
struct Mount {
  bool version_2 = false;
  std::string point, group;
};

// One line: "31 23 0:28 GROUP POINT rw,relatime shared:1 - cgroup cgroup rw,cpu". Before the dash any number of fields.
std::optional<Mount> mount_of(std::string_view line, std::string_view controller) {
  const auto fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 4) return std::nullopt;
  const bool version_2 = dash[1] == "cgroup2";
  if (!version_2 && !(dash[1] == "cgroup" && lists(dash[3], controller))) return std::nullopt;
  return Mount{version_2, unescaped(fields[4]), unescaped(fields[3])};
}

// The group as a path below the mount: "" for the mounted group itself, "/a/b" for one inside.
std::string below_mount(const Mount& mount, std::string_view group) {
  if (mount.group != "/") {
    // The process's group may be named in another namespace than the mount: then only the mounted group is visible.
    const bool inside = group.substr(0, mount.group.size()) == mount.group &&
                        (group.size() == mount.group.size() || group[mount.group.size()] == '/');
    if (!inside) return {};
    group.remove_prefix(mount.group.size());
  }
  const auto parts = split(group, '/');
  if (group.size() < 2 || group.front() != '/' || std::find(parts.begin(), parts.end(), "..") != parts.end()) return {};
  return std::string(group);
}

}  // namespace

// "" if unreadable. The limit is far above the size on a machine with thousands of mounts.
std::string cgroup_text(const std::string& path) {
  constexpr std::size_t kMost = std::size_t{8} << 20;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  char piece[4096];
  while (in && text.size() < kMost) {
    in.read(piece, sizeof piece);
    text.append(piece, static_cast<std::size_t>(in.gcount()));
  }
  return text;
}

void for_each_cgroup(std::string_view controller, const std::string& root,
                     const std::function<void(bool version_2, const std::string& folder)>& visit) {
  const std::string groups = cgroup_text(root + "/proc/self/cgroup"),
                    mounts = cgroup_text(root + "/proc/self/mountinfo");
  for (const std::string_view mount_line : split(mounts, '\n')) {
    const auto mount = mount_of(mount_line, controller);
    if (!mount) continue;
    for (const std::string_view line : split(groups, '\n')) {  // "4:cpu,cpuacct:/GROUP", version 2: "0::/GROUP"
      const std::size_t first = line.find(':'), second = line.find(':', first + 1);
      if (first == std::string_view::npos || second == std::string_view::npos) continue;
      const std::string_view controllers = line.substr(first + 1, second - first - 1);
      if (mount->version_2 ? !controllers.empty() : !lists(controllers, controller)) continue;
      // Every ancestor may limit its descendants.
      for (std::string group = below_mount(*mount, line.substr(second + 1));; group.resize(group.rfind('/'))) {
        visit(mount->version_2, root + mount->point + group);
        if (group.empty()) break;
      }
    }
  }
}

}  // namespace moe::inline MOE_ABI
