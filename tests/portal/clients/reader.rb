# What Ruby scripts do with Socrata: ruby reader.rb ADDRESS DATASET WRITTEN USERNAME PASSWORD prints one JSON object.
# Where the gem soda-ruby is installed it reads too, over HTTPS at the host in SODA_HOST.
require 'csv'
require 'json'
require 'net/http'
base, dataset, written, username, password = ARGV

def asked(address, query)
  uri = URI(address)
  uri.query = URI.encode_www_form(query)
  Net::HTTP.get_response(uri)
end

rows = []
loop do
  page = JSON.parse(asked("#{base}/resource/#{dataset}.json",
                          '$order' => ':id', '$limit' => 1000, '$offset' => rows.size).body)
  break if page.empty?
  rows.concat(page)
end
table = CSV.parse(asked("#{base}/resource/#{dataset}.csv", '$limit' => 100_000).body.force_encoding('UTF-8'), headers: true)
sums = JSON.parse(asked("#{base}/resource/#{dataset}.json",
                        '$query' => 'SELECT zone, sum(requests) AS total GROUP BY zone ORDER BY zone').body)
refused = asked("#{base}/resource/#{dataset}.json", '$where' => 'nothing = 1')

uri = URI("#{base}/resource/#{written}.json")
post = Net::HTTP::Post.new(uri, 'Content-Type' => 'application/json')
post.basic_auth(username, password)
post.body = [{ id: 'rb-1', zone: 'Süd', requests: 1.5, open: true }].to_json
upserted = Net::HTTP.start(uri.hostname, uri.port) { |http| http.request(post) }

gem = begin
  require 'soda/client'
  client = SODA::Client.new(domain: ENV.fetch('SODA_HOST'), ignore_ssl: true)
  client.get(dataset, '$limit' => 1000).body.size
rescue LoadError
  nil
end
puts JSON.generate(rows: rows.size, ids: rows.map { |row| row['id'] }.uniq.size, table: table.size, sums: sums,
                   refused: JSON.parse(refused.body)['errorCode'], upserted: JSON.parse(upserted.body), gem: gem)
