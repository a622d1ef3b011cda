// SPDX-License-Identifier: Apache-2.0
// Which names are allocator functions, what shape their arguments have, and which allocator a file holds. Pure tables.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "alloctrail/probe.h"

namespace alloctrail {

enum class Role {
  Allocate,          ///< returns a block; reports failure by its result
  AllocateThrowing,  ///< C++ operator new and kin: reports failure by an exception
  Release,
};

struct AllocatorFunction {
  std::string_view name;
  at_shape shape = AT_SHAPE_SIZE;
  Role role = Role::Allocate;
  bool cpp_operator = false;   ///< operator new or delete: of itself no sign that the file holds an allocator
  bool rounds_size = false;    ///< hands a larger size on than it was asked for
  bool zero_may_free = false;  ///< realloc as ISO C has it: size 0 may mean free, see zero_realloc_frees()
  size_t rank = 0;             ///< of two names of one address, the lower rank is the better known
};

/// The allocator function of that name, or nothing.
[[nodiscard]] std::optional<AllocatorFunction> find_allocator_function(std::string_view name);

/// Why an allocator's function of that name is left alone; empty if it is not one of those.
[[nodiscard]] std::string_view reason_not_traced(std::string_view name);

/// Whether a call of that function never comes back.
[[nodiscard]] bool never_returns(std::string_view name);

enum class Allocator { Custom, Musl, Glibc, Mimalloc, Tcmalloc, Jemalloc };  // the higher one wins where marks mix

/// The allocator that a symbol, or a shared object, of that name is a mark of, or nothing.
[[nodiscard]] std::optional<Allocator> marked_allocator(std::string_view name);

/// As reports name it: "glibc", "custom" ...
[[nodiscard]] const char* allocator_name(Allocator allocator);

/// Whether this allocator's realloc(p, 0) frees p and returns NULL.
[[nodiscard]] bool zero_realloc_frees(Allocator allocator);

}  // namespace alloctrail
