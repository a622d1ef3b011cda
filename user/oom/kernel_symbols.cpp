// SPDX-License-Identifier: Apache-2.0
#include "user/oom/kernel_symbols.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <string_view>

namespace alloctrail {
namespace {

struct Symbol {
  uint64_t address = 0;
  std::string name;
};

bool is_function(char type) { return type == 't' || type == 'T' || type == 'w' || type == 'W'; }

}  // namespace

std::vector<std::string> name_kernel_functions(const std::vector<uint64_t>& addresses, std::istream& table) {
  std::vector<Symbol> best(addresses.size());
  for (std::string line; std::getline(table, line);) {
    // "ffffffff81000000 T _stext", for modules followed by "\t[name]"
    uint64_t address = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), address, 16);
    const auto at = static_cast<size_t>(end - line.data());
    if (error != std::errc() || at + 3 >= line.size() || !is_function(line[at + 1])) continue;
    for (size_t i = 0; i < addresses.size(); ++i) {
      if (address > addresses[i] || address < best[i].address || address == 0) continue;
      const std::string_view rest = std::string_view(line).substr(at + 3);
      best[i] = {.address = address, .name = std::string(rest.substr(0, rest.find_first_of("\t ")))};
    }
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < addresses.size(); ++i)
    names.push_back(best[i].name.empty() ? fmt::format("{:#x}", addresses[i]) : best[i].name);
  return names;
}

std::vector<std::string> name_kernel_functions(const std::vector<uint64_t>& addresses) {
  std::ifstream table("/proc/kallsyms");
  return name_kernel_functions(addresses, table);
}

}  // namespace alloctrail
