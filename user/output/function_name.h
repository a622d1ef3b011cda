// SPDX-License-Identifier: Apache-2.0
// Demangled function names at a length that people read.
#pragma once

#include <string>
#include <string_view>

namespace alloctrail {

/// The name without its parameters, return type and anonymous namespaces, and with template arguments as "<>":
/// "void ns::List<int, A<int> >::push<int>(int&&)" -> "ns::List<>::push<>". Operators and lambdas keep what names them.
/// A name that is not C++, or that does not balance, comes back as it is.
[[nodiscard]] std::string short_function_name(std::string_view name);

}  // namespace alloctrail
