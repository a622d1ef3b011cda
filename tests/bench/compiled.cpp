// SPDX-License-Identifier: Apache-2.0
// Work for a compiler: the bench has clang compile it.
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>

int main() {
  const nlohmann::json document = nlohmann::json::parse(std::cin);
  const std::regex pattern("[a-z]+_[0-9]+");
  for (const auto& [name, value] : document.items())
    if (std::regex_match(name, pattern)) std::cout << value.dump(1) << "\n";
}
