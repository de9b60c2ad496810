#include "nfq/ipfix_message.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <variant>

#include "swnat/address.h"

namespace swnat::nfq {
namespace {

constexpr std::uint16_t version = 10;
constexpr std::uint16_t template_set = 2;
constexpr std::uint32_t observation_domain = 1;
constexpr std::size_t set_header_size = 4;

// X(name, number, bytes): information elements of IANA's registry.
#define SWNAT_IPFIX_ELEMENTS(X)              \
  X(protocol_identifier, 4, 1)               \
  X(source_transport_port, 7, 2)             \
  X(source_ipv4_address, 8, 4)               \
  X(destination_transport_port, 11, 2)       \
  X(destination_ipv4_address, 12, 4)         \
  X(source_ipv6_address, 27, 16)             \
  X(destination_ipv6_address, 28, 16)        \
  X(post_nat_source_ipv4_address, 225, 4)    \
  X(post_napt_source_transport_port, 227, 2) \
  X(nat_event, 230, 1)                       \
  X(ingress_vrf_id, 234, 4)                  \
  X(post_nat_source_ipv6_address, 281, 16)   \
  X(observation_time_milliseconds, 323, 8)   \
  X(port_range_start, 361, 2)                \
  X(port_range_end, 362, 2)

enum class Element : std::uint16_t {
#define X(name, number, bytes) name = number,
  SWNAT_IPFIX_ELEMENTS(X)
#undef X
};

struct ElementSize {
  Element element;
  std::uint16_t bytes;
};
constexpr ElementSize element_sizes[] = {
#define X(name, number, bytes) {Element::name, bytes},
    SWNAT_IPFIX_ELEMENTS(X)
#undef X
};

constexpr std::uint16_t size_of(Element element) {
  return std::ranges::find(element_sizes, element, &ElementSize::element)->bytes;
}

using enum Element;

// Both what a template says and what a record has, in this order.
constexpr Element translation_v4[] = {observation_time_milliseconds,
                                      nat_event,
                                      ingress_vrf_id,
                                      protocol_identifier,
                                      source_ipv4_address,
                                      source_transport_port,
                                      post_nat_source_ipv4_address,
                                      post_napt_source_transport_port};
constexpr Element translation_v6[] = {observation_time_milliseconds,
                                      nat_event,
                                      ingress_vrf_id,
                                      protocol_identifier,
                                      source_ipv6_address,
                                      source_transport_port,
                                      post_nat_source_ipv6_address,
                                      post_napt_source_transport_port};
constexpr Element destined_v4[] = {observation_time_milliseconds,
                                   nat_event,
                                   ingress_vrf_id,
                                   protocol_identifier,
                                   source_ipv4_address,
                                   source_transport_port,
                                   post_nat_source_ipv4_address,
                                   post_napt_source_transport_port,
                                   destination_ipv4_address,
                                   destination_transport_port};
constexpr Element destined_v6[] = {observation_time_milliseconds,
                                   nat_event,
                                   ingress_vrf_id,
                                   protocol_identifier,
                                   source_ipv6_address,
                                   source_transport_port,
                                   post_nat_source_ipv6_address,
                                   post_napt_source_transport_port,
                                   destination_ipv6_address,
                                   destination_transport_port};
constexpr Element block_v4[] = {
    observation_time_milliseconds, nat_event,        ingress_vrf_id, source_ipv4_address,
    post_nat_source_ipv4_address,  port_range_start, port_range_end};
constexpr Element block_v6[] = {
    observation_time_milliseconds, nat_event,        ingress_vrf_id, source_ipv6_address,
    post_nat_source_ipv6_address,  port_range_start, port_range_end};

struct Template {
  std::uint16_t id;
  std::span<const Element> elements;
};
enum class Shape : std::uint8_t { translation, destined, block };
constexpr Template templates_v4[] = {{256, translation_v4}, {258, destined_v4}, {260, block_v4}};
constexpr Template templates_v6[] = {{257, translation_v6}, {259, destined_v6}, {261, block_v6}};

const Template& template_of(Shape shape, bool is_v4) {
  return (is_v4 ? templates_v4 : templates_v6)[static_cast<std::size_t>(shape)];
}

std::size_t record_size(const Template& described) {
  std::size_t size = 0;
  for (const Element element : described.elements) size += size_of(element);
  return size;
}

void append_number(std::string& bytes, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i-- != 0;) bytes += static_cast<char>(value >> (8 * i) & 0xff);
}

void set_number(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  std::string number;
  append_number(number, value, size);
  bytes.replace(at, size, number);
}

void append_address(std::string& bytes, const IpAddress& address, std::size_t size) {
  // The unspecified address is the same in both families but for its length.
  const std::size_t begin = bytes.size();
  std::visit(
      [&](const auto& own) {
        std::array<char, sizeof own> raw{};
        std::memcpy(raw.data(), &own, sizeof own);
        bytes.append(raw.data(), std::min(raw.size(), size));
      },
      address);
  bytes.resize(begin + size, '\0');
}

bool is_v4(const Event& event) {
  return std::holds_alternative<Ipv4Address>(event.external.address);
}

std::uint8_t number_of_event(const Event& event) {
  switch (event.kind) {
    case EventKind::mapping_made:
      return is_v4(event) ? 8 : 1;
    case EventKind::mapping_ended:
      return is_v4(event) ? 9 : 2;
    case EventKind::session_made:
      return is_v4(event) ? 4 : 1;
    case EventKind::session_ended:
      return is_v4(event) ? 5 : 2;
    case EventKind::block_taken:
      return 16;
    case EventKind::block_given_up:
      return 17;
    default:
      return 0;
  }
}

Shape shape_of(const Event& event, bool destinations) {
  if (event.kind == EventKind::block_taken || event.kind == EventKind::block_given_up) {
    return Shape::block;
  }
  const bool is_session =
      event.kind == EventKind::session_made || event.kind == EventKind::session_ended;
  return is_session && destinations ? Shape::destined : Shape::translation;
}

void append_element(std::string& bytes, Element element, const LogRecord& record) {
  const Event& event = record.event;
  const std::size_t size = size_of(element);
  switch (element) {
    case observation_time_milliseconds:
      return append_number(
          bytes, static_cast<std::uint64_t>(record.time.time_since_epoch().count()), size);
    case nat_event:
      return append_number(bytes, number_of_event(event), size);
    case ingress_vrf_id:
      return append_number(bytes, event.namespace_id, size);
    case protocol_identifier:
      return append_number(bytes, event.protocol, size);
    case source_ipv4_address:
    case source_ipv6_address:
      return append_address(bytes, event.internal.address, size);
    case source_transport_port:
      return append_number(bytes, event.internal.port, size);
    case post_nat_source_ipv4_address:
    case post_nat_source_ipv6_address:
      return append_address(bytes, event.external.address, size);
    case post_napt_source_transport_port:
    case port_range_start:
      return append_number(bytes, event.external.port, size);
    case port_range_end:
      return append_number(bytes, event.external.port + event.count - 1, size);
    case destination_ipv4_address:
    case destination_ipv6_address:
      return append_address(bytes, event.remote.address, size);
    case destination_transport_port:
      return append_number(bytes, event.remote.port, size);
  }
}

void append_header(std::string& bytes, WallTime time, std::uint32_t sequence) {
  append_number(bytes, version, 2);
  append_number(bytes, 0, 2);  // the length, which is known at the end
  append_number(bytes,
                static_cast<std::uint64_t>(
                    std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count()),
                4);
  append_number(bytes, sequence, 4);
  append_number(bytes, observation_domain, 4);
}

void end_message(std::string& bytes) {
  set_number(bytes, 2, bytes.size(), 2);
}

void end_set(std::string& bytes, std::size_t begin) {
  set_number(bytes, begin + 2, bytes.size() - begin, 2);
}

std::size_t begin_set(std::string& bytes, std::uint16_t id) {
  const std::size_t begin = bytes.size();
  append_number(bytes, id, 2);
  append_number(bytes, 0, 2);
  return begin;
}

}  // namespace

std::string IpfixEncoder::templates(WallTime time) const {
  std::string bytes;
  append_header(bytes, time, sequence_);
  const std::size_t set = begin_set(bytes, template_set);
  for (const std::span<const Template> family :
       {std::span(templates_v4), std::span(templates_v6)}) {
    for (const Template& each : family) {
      append_number(bytes, each.id, 2);
      append_number(bytes, each.elements.size(), 2);
      for (const Element element : each.elements) {
        append_number(bytes, static_cast<std::uint16_t>(element), 2);
        append_number(bytes, size_of(element), 2);
      }
    }
  }
  end_set(bytes, set);
  end_message(bytes);
  return bytes;
}

IpfixMessage IpfixEncoder::message(std::span<const LogRecord> records, WallTime time,
                                   std::size_t size) {
  IpfixMessage message;
  std::string& bytes = message.bytes;
  append_header(bytes, time, sequence_);
  const Template* current = nullptr;
  std::size_t set = 0;
  for (const LogRecord& record : records) {
    if (!record.begins && number_of_event(record.event) != 0) {
      const Template& next =
          template_of(shape_of(record.event, destinations_), is_v4(record.event));
      const bool same_set = current == &next;
      if (bytes.size() + record_size(next) + (same_set ? 0 : set_header_size) > size) break;
      if (!same_set) {
        if (current != nullptr) end_set(bytes, set);
        set = begin_set(bytes, next.id);
        current = &next;
      }
      for (const Element element : next.elements) append_element(bytes, element, record);
      ++sequence_;
    }
    ++message.taken;
  }
  if (current == nullptr) {
    bytes.clear();
    return message;
  }
  end_set(bytes, set);
  end_message(bytes);
  return message;
}

}  // namespace swnat::nfq
