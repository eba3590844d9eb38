# The requests that RSocrata makes (read.socrata, ls.socrata, write.socrata), through the packages that it uses.
# Rscript rsocrata.R ADDRESS DATASET USERNAME PASSWORD WRITTEN prints one JSON object.
suppressPackageStartupMessages({library(httr); library(jsonlite)})
given <- commandArgs(trailingOnly = TRUE)
base <- given[1]; dataset <- given[2]; login <- authenticate(given[3], given[4]); written <- given[5]

asked <- function(url) {
  response <- GET(url)
  stop_for_status(response)
  response
}

table_of <- function(response) {
  type <- sub(";.*", "", headers(response)[["content-type"]])
  text <- content(response, as = "text", encoding = "utf-8")
  if (type == "text/csv") return(read.csv(text = text, stringsAsFactors = FALSE))
  stopifnot(type == "application/json")
  if (length(content(response)) == 0) data.frame() else flatten(fromJSON(text))
}

types_of <- function(response) {
  types <- fromJSON(headers(response)[["x-soda2-types"]])
  names(types) <- fromJSON(headers(response)[["x-soda2-fields"]])
  types
}

# Pages until one is empty: the portal's own limit, the offset from what came so far.
everything <- function(extension) {
  url <- paste0(base, "/resource/", dataset, extension, "?$order=:id")
  response <- asked(url)
  page <- table_of(response)
  rows <- page
  pages <- 0
  while (nrow(page) > 0) {
    pages <- pages + 1
    page <- table_of(asked(paste0(url, "&$offset=", nrow(rows))))
    if (nrow(page) > 0) rows <- rbind(rows, page[names(rows)])
  }
  list(rows = rows, pages = pages, types = types_of(response))
}

csv <- everything(".csv")
json <- everything(".json")
days <- as.POSIXct(strptime(csv$rows$period_start, "%Y-%m-%dT%H:%M:%S", tz = "UTC"))

listing <- as.data.frame(fromJSON(paste0(base, "/data.json"))$dataset)
listing$issued <- as.POSIXct(listing$issued)
listing$modified <- as.POSIXct(listing$modified)

sent <- data.frame(id = c("r-1", "r-2"), zone = c("Süd", "Nord"), requests = c(1.5, NA), open = c(TRUE, FALSE))
endpoint <- paste0(base, "/resource/", written, ".json")
headed <- add_headers("X-App-Token" = NULL, "Content-Type" = "application/json")
upserted <- POST(endpoint, body = toJSON(sent), login, headed)
replaced <- PUT(endpoint, body = toJSON(sent[1, ]), login, headed)
refused <- GET(paste0(base, "/resource/", dataset, ".json?$where=nothing=1"))

cat(toJSON(auto_unbox = TRUE, digits = NA, list(
  csv_rows = nrow(csv$rows), csv_pages = csv$pages, csv_names = names(csv$rows), ids = csv$rows$id,
  zones = unique(csv$rows$zone), total = sum(as.numeric(csv$rows$requests), na.rm = TRUE),
  empty = sum(is.na(csv$rows$requests)), types = as.list(csv$types), first_day = format(min(days), "%Y-%m-%d"),
  json_rows = nrow(json$rows), json_total = sum(as.numeric(json$rows$requests), na.rm = TRUE),
  listed = listing$landingPage, dated = all(!is.na(listing$modified)),
  upserted = content(upserted), replaced = content(replaced),
  refused = list(status = status_code(refused), body = content(refused))
)))
