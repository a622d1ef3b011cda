// SPDX-License-Identifier: Apache-2.0
#include "user/output/function_name.h"

#include <gtest/gtest.h>

namespace alloctrail {
namespace {

TEST(ShortFunctionName, PlainNamesStayAsTheyAre) {
  for (const char* name : {"", "main", "zmalloc", "std::terminate", "<alloc::vec::Vec<T> as core::Clone>::clone"})
    EXPECT_EQ(short_function_name(name), name);
}

TEST(ShortFunctionName, ParametersAndAnonymousNamespacesGo) {
  EXPECT_EQ(short_function_name("(anonymous namespace)::AuditTrail::add_record((anonymous namespace)::Reading const&)"),
            "AuditTrail::add_record");
  EXPECT_EQ(short_function_name("ns::Table::find(int) const [clone .cold]"), "ns::Table::find");
}

TEST(ShortFunctionName, TemplateArgumentsBecomeABracket) {
  EXPECT_EQ(short_function_name("std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::"
                                "_M_append(char const*, unsigned long)"),
            "std::basic_string<>::_M_append");
}

TEST(ShortFunctionName, ReturnTypesGo) {
  EXPECT_EQ(short_function_name("void std::deque<int, std::allocator<int> >::_M_push_back_aux<int>(int&&)"),
            "std::deque<>::_M_push_back_aux<>");
  EXPECT_EQ(short_function_name("std::pair<int, int> const& ns::pick<int>(int)"), "ns::pick<>");
}

TEST(ShortFunctionName, OperatorsKeepTheirNames) {
  EXPECT_EQ(short_function_name("operator new(unsigned long)"), "operator new");
  EXPECT_EQ(short_function_name("ns::Less::operator()(int, int) const"), "ns::Less::operator()");
  EXPECT_EQ(short_function_name("ns::operator<<(ns::Stream&, int)"), "ns::operator<<");
  EXPECT_EQ(short_function_name("ns::operator<(ns::A const&, ns::B const&)"), "ns::operator<");
  EXPECT_EQ(short_function_name("bool ns::operator==<int>(ns::A<int> const&, ns::A<int> const&)"), "ns::operator==<>");
  EXPECT_EQ(short_function_name("ns::Text::operator bool() const"), "ns::Text::operator bool");
  EXPECT_EQ(short_function_name("ns::Pointer<int>::operator->() const"), "ns::Pointer<>::operator->");
}

TEST(ShortFunctionName, LambdasKeepTheirNumbers) {
  EXPECT_EQ(short_function_name("main::{lambda(int)#4}::operator()(int) const"), "main::{lambda(int)#4}::operator()");
  EXPECT_EQ(short_function_name("std::thread::_State_impl<std::thread::_Invoker<std::tuple<main::{lambda()#4}> > >::_M_run()"),
            "std::thread::_State_impl<>::_M_run");
}

TEST(ShortFunctionName, WhatDoesNotBalanceStaysAsItIs) {
  for (const char* name : {"a<b", "f{", "x<y<z>", "(", "()", ">"}) EXPECT_EQ(short_function_name(name), name);
}

}  // namespace
}  // namespace alloctrail
